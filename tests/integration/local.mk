# SPDX-License-Identifier: Apache-2.0
#
# The installed weir with real peers.  `make integration` installs into a folder of the build tree
# and runs everything against it; INTEGRATION takes flags and names (see tests/integration/run --help).

EXTRA_DIST += \
	tests/integration/allowed-skips \
	tests/integration/data/examples/l4.yaml \
	tests/integration/data/examples/quickstart.yaml \
	tests/integration/data/examples/site.yaml \
	tests/integration/data/faults/test_faults.py \
	tests/integration/data/forbid-io-uring \
	tests/integration/data/not-built.txt \
	tests/integration/harness/__init__.py \
	tests/integration/harness/config.py \
	tests/integration/harness/env.py \
	tests/integration/harness/http1.py \
	tests/integration/harness/origin.py \
	tests/integration/harness/peers.py \
	tests/integration/harness/process.py \
	tests/integration/harness/runner.py \
	tests/integration/harness/systemd.py \
	tests/integration/harness/weir.py \
	tests/integration/run \
	tests/integration/selftest \
	tests/integration/test_bodies.py \
	tests/dns/server.py \
	tests/integration/test_access.py \
	tests/integration/test_backend.py \
	tests/integration/test_check.py \
	tests/integration/test_commands.py \
	tests/integration/test_config.py \
	tests/integration/test_control.py \
	tests/integration/test_dns.py \
	tests/integration/test_health.py \
	tests/integration/test_inspect.py \
	tests/integration/test_journal.py \
	tests/integration/test_l4.py \
	tests/integration/test_l4_example.py \
	tests/integration/test_lifecycle.py \
	tests/integration/test_limits.py \
	tests/integration/test_messages.py \
	tests/integration/test_mutations.py \
	tests/integration/test_origin_failures.py \
	tests/integration/test_metrics.py \
	tests/integration/test_plugin_build.py \
	tests/integration/test_process.py \
	tests/integration/test_quickstart.py \
	tests/integration/test_reload.py \
	tests/integration/test_reload_load.py \
	tests/integration/test_reload_state.py \
	tests/integration/test_route.py \
	tests/integration/test_routes.py \
	tests/integration/test_static.py \
	tests/integration/test_systemd.py \
	tests/integration/test_systemd_manager.py \
	tests/integration/test_tls.py \
	tests/integration/test_tls_certificates.py \
	tests/integration/test_tls_load.py \
	tests/integration/test_tls_options.py \
	tests/integration/test_udp.py \
	tests/integration/test_upstreams.py \
	tests/integration/test_vectors.py

# The harness judged by faults of its own making; needs no weir.
lint_tests += tests/integration/selftest

integration_root = $(abs_top_builddir)/integration-root

.PHONY: integration
integration: all
	rm -rf $(integration_root)
	$(MAKE) -s install DESTDIR=$(integration_root)
	$(PYTHON3) $(top_srcdir)/tests/integration/run --destdir $(integration_root) \
	  --prefix $(integration_root)$(prefix) --libdir $(integration_root)$(libdir) \
	  --plugin-dir $(integration_root)$(plugindir) $(INTEGRATION)
