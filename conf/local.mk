# SPDX-License-Identifier: Apache-2.0

weirexamplesdir = $(datadir)/weir/examples
weirexamples_DATA = conf/quickstart.yaml
EXTRA_DIST += conf/weir.yaml $(weirexamples_DATA)

# A configuration that is there is the operator's: installing leaves it alone, uninstalling removes
# only one that nobody has changed.
install-data-local: install-manual
	$(MKDIR_P) "$(DESTDIR)$(weirconfdir)"
	test -e "$(DESTDIR)$(weirconfdir)/weir.yaml" || \
	  $(INSTALL_DATA) $(srcdir)/conf/weir.yaml "$(DESTDIR)$(weirconfdir)/weir.yaml"

uninstall-local: uninstall-manual
	if cmp -s $(srcdir)/conf/weir.yaml "$(DESTDIR)$(weirconfdir)/weir.yaml"; then \
	  rm -f "$(DESTDIR)$(weirconfdir)/weir.yaml"; fi
