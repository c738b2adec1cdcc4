# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += README.md docs/ARCHITECTURE.md docs/BEHAVIOUR.md docs/BENCH.md docs/behaviour docs/behaviour-rows.txt \
	docs/TUTORIAL-runtime.md docs/internals/http-parse.md docs/internals/io.md docs/internals/l4.md docs/internals/records.md docs/internals/reload.md docs/internals/routes.md docs/internals/tls.md docs/internals/upstreams.md docs/manual docs/manual-yaml

dist_man_MANS += docs/weir-metrics.7

# The manual pages of section 3, from the comments of the public headers.
manual3dir = $(mandir)/man3
noinst_DATA = docs/manual.stamp
docs/manual.stamp: docs/manual $(weirinclude_HEADERS)
	$(AM_V_GEN)$(MKDIR_P) docs && SOURCE_DATE_EPOCH=$(source_date) WEIR_SRCDIR='$(abs_top_srcdir)' \
	  $(PYTHON3) $(top_srcdir)/docs/manual docs/man3 $(PACKAGE_VERSION) && touch $@

# The JSON Schema and weir.yaml(5), from the option tables: the weir just built is asked.
noinst_DATA += docs/weir.schema.json docs/weir.yaml.5
docs/weir.schema.json: weir$(EXEEXT) $(plugins_LTLIBRARIES)
	$(AM_V_GEN)rm -rf docs/schema-plugins && $(MKDIR_P) docs/schema-plugins && \
	  for p in $(plugins_LTLIBRARIES:.la=); do \
	    ln -s "$(abs_top_builddir)/`dirname $$p`/.libs/`basename $$p`.so" docs/schema-plugins/ || exit 1; done && \
	  ASAN_OPTIONS=detect_leaks=0 ./weir config schema --plugin-dir docs/schema-plugins > $@.new && \
	  mv $@.new $@
docs/weir.yaml.5: docs/manual docs/manual-yaml docs/weir.schema.json
	$(AM_V_GEN)SOURCE_DATE_EPOCH=$(source_date) WEIR_SRCDIR='$(abs_top_srcdir)' \
	  $(PYTHON3) $(top_srcdir)/docs/manual-yaml docs/weir.schema.json $@ $(PACKAGE_VERSION)

.PHONY: install-manual uninstall-manual
install-manual: docs/manual.stamp docs/weir.schema.json docs/weir.yaml.5
	$(MKDIR_P) "$(DESTDIR)$(manual3dir)"
	@echo "installing `ls docs/man3 | wc -l` pages into $(DESTDIR)$(manual3dir)"; \
	  $(INSTALL_DATA) docs/man3/*.3 "$(DESTDIR)$(manual3dir)"
	$(MKDIR_P) "$(DESTDIR)$(mandir)/man5" "$(DESTDIR)$(datadir)/weir"
	$(INSTALL_DATA) docs/weir.yaml.5 "$(DESTDIR)$(mandir)/man5"
	$(INSTALL_DATA) docs/weir.schema.json "$(DESTDIR)$(datadir)/weir"
uninstall-manual:
	rm -f "$(DESTDIR)$(mandir)/man5/weir.yaml.5" "$(DESTDIR)$(datadir)/weir/weir.schema.json"
	-for p in `cd docs/man3 && echo *.3`; do rm -f "$(DESTDIR)$(manual3dir)/$$p"; done

clean-local:
	rm -rf docs/man3 docs/manual.stamp docs/schema-plugins docs/weir.schema.json docs/weir.yaml.5 mutants-build
