# SPDX-License-Identifier: Apache-2.0
libweir_core_la_SOURCES += \
	core/net/tls.h \
	core/net/tls_bio.c \
	core/net/tls_cache.c \
	core/net/tls_certificate.c \
	core/net/tls_certificate.h \
	core/net/tls_close.c \
	core/net/tls_context.c \
	core/net/tls_engine.c \
	core/net/tls_engine.h \
	core/net/tls_kernel.c \
	core/net/tls_limit.c \
	core/net/tls_names.c \
	core/net/tls_profile.c \
	core/net/tls_session.c \
	core/net/tls_session.h \
	core/net/tls_upgrade.c \
	core/net/tls_verify.c
