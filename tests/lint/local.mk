# SPDX-License-Identifier: Apache-2.0
#
# Each check is a script that prints TAP; `make lint` runs them all without building anything but
# the libraries whose symbols tests/lint/exports reads.

lint_tests += \
	tests/lint/banned \
	tests/lint/behaviour \
	tests/lint/counting \
	tests/lint/dist \
	tests/lint/example_headers \
	tests/lint/exports \
	tests/lint/format \
	tests/lint/headers \
	tests/lint/layers \
	tests/lint/manual \
	tests/lint/selftest \
	tests/lint/settings \
	tests/lint/size \
	tests/lint/text \
	tests/lint/threads

EXTRA_DIST += \
	$(lint_tests) \
	tests/lint/banned.conf \
	tests/lint/common.py \
	tests/lint/examples.conf \
	tests/lint/installed \
	tests/lint/layers.conf \
	tests/lint/planned.conf \
	tests/lint/threads.conf

lint: libweir.la libweir-http.la libweir-host.la $(plugins_LTLIBRARIES) docs/weir.yaml.5
	@status=0; for t in $(lint_tests); do echo "== $$t"; \
	  WEIR_SRCDIR='$(abs_top_srcdir)' WEIR_BUILDDIR='$(abs_top_builddir)' PYTHONDONTWRITEBYTECODE=1 \
	  $(PYTHON3) $(top_srcdir)/$$t || status=1; done; exit $$status

.PHONY: reformat
reformat:
	cd $(top_srcdir) && git ls-files -z '*.c' '*.h' | xargs -0 clang-format-14 -i
