# SPDX-License-Identifier: Apache-2.0

plugins_LTLIBRARIES += plugins/admin/admin.la
plugins_admin_admin_la_SOURCES = \
	plugins/admin/admin.c
plugins_admin_admin_la_CFLAGS = $(PLUGIN_CFLAGS)
plugins_admin_admin_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_admin_admin_la_LIBADD = $(PLUGIN_LIBADD)
