# SPDX-License-Identifier: Apache-2.0
#
# bin_PROGRAMS += weir
# weir_SOURCES = daemon/main.c
# weir_CPPFLAGS = $(AM_CPPFLAGS) -DWEIR_PLUGINDIR='"$(plugindir)"' -DWEIR_CONFDIR='"$(weirconfdir)"'
# weir_LDADD = libweir-http.la libweir-host.la libweir.la
