.PHONY: backends bench-bridges bench-rivals check-plugins conformance demo e2e

# noVNC, MQTT.js and a Redis client through the release daemon to real servers. Installs Debian
# packages as root where they are missing.
e2e:
	tests/e2e/run

# A browser's console, the bridge, and a small server that speaks lines.
demo:
	cargo build --release --bin websocksy
	rustc --edition 2024 -O -o target/line_server examples/line_server.rs
	examples/demo.sh

# All cases of Autobahn|Testsuite against the bridge with an echo behind it. Installs the suite under
# target/, which takes a Python 2.7 with pip, such as pyenv's.
conformance:
	cargo build --release --bin websocksy
	tests/autobahn/run.py

# The bundled plug-ins, into target/plugins: `websocksy --plugins $PWD/target/plugins -b file`.
FRAMINGS := fixedlength dynamic32 json
backends:
	cargo build --profile plugin -p websocksy-backend-file $(FRAMINGS:%=-p websocksy-%)
	install -d -m 755 target/plugins
	for name in backend_file $(FRAMINGS); do \
		install -m 755 target/plugin/lib$$name.so target/plugins/$$name.so || exit 1; \
	done

# The example plug-ins under AddressSanitizer; these and the bundled ones under valgrind, if it is
# installed.
check-plugins: backends
	$(MAKE) -C backends/examples OUT=$(CURDIR)/target/plugins-c check
	VALGRIND=$$(command -v valgrind) backends/examples/check target/plugins-c target/plugins

# websocksy beside other bridges, some fifteen minutes; docs/performance.md says how to read it.
# 5,000 idle connections need 10,000 descriptors in one process.
bench-bridges:
	cargo build --release --bins --example bench-bridges
	ulimit -n $$(ulimit -Hn) && target/release/examples/bench-bridges

# Installs the other bridges, as root where they are Debian packages.
bench-rivals:
	benches/bridges/install-rivals.sh
