# SPDX-License-Identifier: Apache-2.0

weirexamplesdir = $(datadir)/weir/examples
weirexamples_DATA = conf/quickstart.yaml
EXTRA_DIST += conf/weir.yaml conf/completion.bash $(weirexamples_DATA)

completionsdir = $(datadir)/bash-completion/completions

# A configuration that is there is the operator's: installing leaves it alone, uninstalling removes
# only one that nobody has changed.
install-data-local: install-manual
	$(MKDIR_P) "$(DESTDIR)$(weirconfdir)" "$(DESTDIR)$(completionsdir)"
	for name in weir weirctl; do \
	  $(INSTALL_DATA) $(srcdir)/conf/completion.bash "$(DESTDIR)$(completionsdir)/$$name" || exit 1; done
	test -e "$(DESTDIR)$(weirconfdir)/weir.yaml" || \
	  $(INSTALL_DATA) $(srcdir)/conf/weir.yaml "$(DESTDIR)$(weirconfdir)/weir.yaml"

uninstall-local: uninstall-manual
	rm -f "$(DESTDIR)$(completionsdir)/weir" "$(DESTDIR)$(completionsdir)/weirctl"
	if cmp -s $(srcdir)/conf/weir.yaml "$(DESTDIR)$(weirconfdir)/weir.yaml"; then \
	  rm -f "$(DESTDIR)$(weirconfdir)/weir.yaml"; fi
