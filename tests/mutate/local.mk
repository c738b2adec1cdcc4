# SPDX-License-Identifier: Apache-2.0

EXTRA_DIST += tests/mutate/run

.PHONY: mutants
mutants:
	$(PYTHON3) $(top_srcdir)/tests/mutate/run --build mutants-build $(MUTANTS)
