# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += systemd/weir.service.in systemd/weir.socket systemd/sysusers.conf systemd/tmpfiles.conf systemd/logrotate \
	systemd/weir.catalog

systemdsystemunit_DATA = systemd/weir.service systemd/weir.socket
systemd/weir.service: systemd/weir.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && $(SED) -e 's|@bindir[@]|$(bindir)|g' -e 's|@libdir[@]|$(libdir)|g' \
	  -e 's|@weirconfdir[@]|$(weirconfdir)|g' $(srcdir)/systemd/weir.service.in >$@-t && mv $@-t $@
CLEANFILES += systemd/weir.service systemd/weir.service-t

# Beside sysusers.d: what `journalctl -x` says of weir's records.
catalogdir = $(sysusersdir)/../systemd/catalog
catalog_DATA = systemd/weir.catalog

install-data-local: install-systemd
.PHONY: install-systemd uninstall-systemd
install-systemd:
	$(MKDIR_P) "$(DESTDIR)$(sysusersdir)" "$(DESTDIR)$(tmpfilesdir)" "$(DESTDIR)$(sysconfdir)/logrotate.d"
	$(INSTALL_DATA) $(srcdir)/systemd/sysusers.conf "$(DESTDIR)$(sysusersdir)/weir.conf"
	$(INSTALL_DATA) $(srcdir)/systemd/tmpfiles.conf "$(DESTDIR)$(tmpfilesdir)/weir.conf"
	$(INSTALL_DATA) $(srcdir)/systemd/logrotate "$(DESTDIR)$(sysconfdir)/logrotate.d/weir"
uninstall-local: uninstall-systemd
uninstall-systemd:
	rm -f "$(DESTDIR)$(sysusersdir)/weir.conf" "$(DESTDIR)$(tmpfilesdir)/weir.conf" \
	  "$(DESTDIR)$(sysconfdir)/logrotate.d/weir"
