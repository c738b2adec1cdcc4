# SPDX-License-Identifier: Apache-2.0

weirconf_DATA = conf/weir.yaml
weirexamplesdir = $(datadir)/weir/examples
weirexamples_DATA = conf/quickstart.yaml
EXTRA_DIST += $(weirconf_DATA) $(weirexamples_DATA)
