# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += tests/examples

.PHONY: check-examples
check-examples: $(noinst_PROGRAMS)
	WEIR_SRCDIR=$(abs_top_srcdir) $(PYTHON3) $(top_srcdir)/tests/examples/run --build $(abs_top_builddir)
