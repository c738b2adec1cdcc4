# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += README.md docs/ARCHITECTURE.md docs/BEHAVIOUR.md docs/BENCH.md docs/behaviour docs/behaviour-rows.txt \
	docs/TUTORIAL-runtime.md docs/internals/http-parse.md docs/manual

# The manual pages of section 3, from the comments of the public headers.
manual3dir = $(mandir)/man3
noinst_DATA = docs/manual.stamp
docs/manual.stamp: docs/manual $(weirinclude_HEADERS)
	$(AM_V_GEN)$(MKDIR_P) docs && SOURCE_DATE_EPOCH=$(source_date) WEIR_SRCDIR='$(abs_top_srcdir)' \
	  $(PYTHON3) $(top_srcdir)/docs/manual docs/man3 $(PACKAGE_VERSION) && touch $@

.PHONY: install-manual uninstall-manual
install-manual: docs/manual.stamp
	$(MKDIR_P) "$(DESTDIR)$(manual3dir)"
	@echo "installing `ls docs/man3 | wc -l` pages into $(DESTDIR)$(manual3dir)"; \
	  $(INSTALL_DATA) docs/man3/*.3 "$(DESTDIR)$(manual3dir)"
uninstall-manual:
	-for p in `cd docs/man3 && echo *.3`; do rm -f "$(DESTDIR)$(manual3dir)/$$p"; done

clean-local:
	rm -rf docs/man3 docs/manual.stamp mutants-build
