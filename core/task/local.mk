# SPDX-License-Identifier: Apache-2.0
#
# configure chooses how stacks are switched:
#   if CTX_X86_64
#   libweir_core_la_SOURCES += core/task/ctx-x86_64.S
#   endif
# (CTX_AARCH64, CTX_UCONTEXT likewise); files left out by the condition are distributed all the same.
