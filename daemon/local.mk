# SPDX-License-Identifier: Apache-2.0

bin_PROGRAMS += weir
weir_SOURCES = \
	daemon/aliases.c \
	daemon/check.c \
	daemon/complete.c \
	daemon/config.c \
	daemon/control.c \
	daemon/ctl.c \
	daemon/ctl.h \
	daemon/ctl_print.c \
	daemon/ctl_screens.c \
	daemon/ctl_servers.c \
	daemon/ctl_verbs.c \
	daemon/daemon.h \
	daemon/explain.c \
	daemon/follow.c \
	daemon/help.c \
	daemon/main.c \
	daemon/methods.c \
	daemon/not_built.c \
	daemon/notify.c \
	daemon/reload.c \
	daemon/ctl_reload.c \
	daemon/restart.c \
	daemon/route.c \
	daemon/override.c \
	daemon/run.c \
	daemon/run.h \
	daemon/store.c \
	daemon/temporary.c
weir_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS) $(CARES_CFLAGS) $(YAML_CFLAGS) $(JANSSON_CFLAGS) $(SYSTEMD_CFLAGS) \
	-DWEIR_CONTROL_SOCKET='"$(runstatedir)/weir/control.sock"' -DWEIR_PLUGIN_DIR='"$(plugindir)"' -DWEIR_DEFAULT_CONFIG='"$(weirconfdir)/weir.yaml"' \
	-DWEIR_SCHEMA_PATH='"$(datadir)/weir/weir.schema.json"'
weir_LDADD = libweir-http.la libweir-host.la libweir.la $(OPENSSL_LIBS) $(CARES_LIBS) $(YAML_LIBS) $(JANSSON_LIBS) $(SYSTEMD_LIBS)

# Without prerequisites: a hook is made by a make of its own, which would install them once more.
install-exec-hook:
	cd "$(DESTDIR)$(bindir)" && rm -f weirctl && $(LN_S) weir weirctl
uninstall-local: uninstall-weirctl
uninstall-weirctl:
	rm -f "$(DESTDIR)$(bindir)/weirctl"

dist_man_MANS += docs/weir.8 docs/weirctl.8
