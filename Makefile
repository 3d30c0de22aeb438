# Each target says what it needs; `make check` is what CI runs, but for the browser.
.PHONY: build test check bench fuzz conformance e2e backends check-exports check-contract \
	check-plugins demo bench-bridges bench-rivals rootfs install clean

PREFIX ?= /usr/local
# Where the installed daemon looks for plug-ins unless it is told.
PLUGINPATH ?= $(PREFIX)/lib/websocksy

build:
	cargo build --release --bin websocksy

# Unit, table and property tests, and the tests that drive the real binary.
test:
	cargo test --workspace

# All that can be checked without a browser: about seven minutes on two cores.
check:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace
	SIM_SEEDS=100000 cargo test --profile checked --test simulate -- --nocapture
	$(MAKE) check-exports check-contract check-plugins conformance

# Micro-benches, each beside the crate one would take otherwise.
bench:
	cargo bench --bench micro

# Every fuzz target for FUZZ_SECONDS (60); docs/testing.md has the figures of a long run.
fuzz:
	fuzz/run

# noVNC, MQTT.js and a Redis client through the release daemon to real servers. Installs Debian
# packages as root where they are missing.
e2e:
	tests/e2e/run

# A browser's console, the bridge, and a small server that speaks lines.
demo: build
	rustc --edition 2024 -O -o target/line_server examples/line_server.rs
	examples/demo.sh

# All cases of Autobahn|Testsuite against the bridge with an echo behind it. Installs the suite under
# target/, which takes a Python 2.7 with pip, such as pyenv's.
conformance: build
	tests/autobahn/run.py

# The bundled plug-ins, into target/plugins: `websocksy --plugins $PWD/target/plugins -b file`.
FRAMINGS := fixedlength dynamic32 json
backends:
	cargo build --profile plugin -p websocksy-backend-file $(FRAMINGS:%=-p websocksy-%)
	install -d -m 755 target/plugins
	for name in backend_file $(FRAMINGS); do \
		install -m 755 target/plugin/lib$$name.so target/plugins/$$name.so || exit 1; \
	done

# What plug-ins call is in the release binary too, which is optimised at link time.
check-exports: build
	WEBSOCKSY_BINARY=$(CURDIR)/target/release/websocksy cargo test --test exports

# The clauses of the contract, each by a plug-in in C, above the release binary.
check-contract: build
	WEBSOCKSY_BINARY=$(CURDIR)/target/release/websocksy cargo test --test plugins contract

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

# The files a container needs and no more: the daemon, the plug-ins, the libraries they load.
rootfs: build backends
	rm -rf target/rootfs
	install -D -m 755 target/release/websocksy target/rootfs/usr/bin/websocksy
	install -D -m 644 -t target/rootfs/usr/lib/websocksy target/plugins/*.so
	ldd target/release/websocksy | grep -o '/[^ ]*' | \
		while read -r lib; do install -D -m 755 "$$lib" "target/rootfs$$lib" || exit 1; done

install: backends
	PLUGINPATH=$(PLUGINPATH) cargo build --release --bin websocksy
	install -D -m 755 target/release/websocksy $(DESTDIR)$(PREFIX)/bin/websocksy
	install -D -m 644 -t $(DESTDIR)$(PLUGINPATH) target/plugins/*.so
	install -D -m 644 docs/websocksy.8 $(DESTDIR)$(PREFIX)/share/man/man8/websocksy.8
	install -D -m 644 backends/include/websocksy.h $(DESTDIR)$(PREFIX)/include/websocksy.h

clean:
	cargo clean
