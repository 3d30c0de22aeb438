# Each target says what it needs; `make check` is what CI runs, but for the browser.
.PHONY: build test check check-style check-demo check-exports check-contract check-plugins \
	conformance fresh mutants sweep bench fuzz e2e cables cables-long backends demo bench-bridges \
	bench-rivals rootfs image deb packages install clean

PREFIX ?= /usr/local
# Where the installed daemon looks for plug-ins unless it is told.
PLUGINPATH ?= $(PREFIX)/lib/websocksy

# Recipes and tests name files under target/, wherever the user's Cargo would build.
export CARGO_TARGET_DIR := $(CURDIR)/target

build:
	PLUGINPATH=$(PLUGINPATH) cargo build --release --bin websocksy

# Unit, table and property tests, and the tests that drive the real binary.
test:
	cargo test --workspace

# All that can be checked without a browser: about seven minutes on two cores. gcc, make and a Rust
# toolchain will do. What needs more and does not find it is left out, with a line at the end that
# says so; with CI set, that is a failure.
check: export LEAVE_OUT = yes
check:
	@rm -f target/left-out
	$(MAKE) check-style
	cargo test --workspace
	cargo test --no-default-features --lib -- config:: backend::target
	SIM_SEEDS=100000 cargo test --profile checked --test simulate -- --nocapture
	REACTOR_SEEDS=20000 cargo test --profile checked --test reactor -- --nocapture
	MESSAGE_MIB=64 cargo test --profile checked --test memory any_length -- --nocapture
	$(MAKE) check-exports check-contract check-plugins check-demo conformance
	@tests/left-out

# rustup's minimal profile has neither.
check-style:
	if cargo fmt --version >/dev/null 2>&1; then cargo fmt --all -- --check; \
		else tests/left-out format 'no rustfmt (rustup component add rustfmt)'; fi
	if cargo clippy --version >/dev/null 2>&1; then \
		cargo clippy --workspace --all-targets -- -D warnings && \
		cargo clippy --no-default-features -- -D warnings; \
		else tests/left-out lints 'no clippy (rustup component add clippy)'; fi

# Every system call of scripted sessions, of the start and of the end, with every error that it may
# meet: some ten minutes. `make test` has a sample of it.
sweep:
	SWEEP=all cargo test --test sweep -- --nocapture

# Micro-benches, each beside the crate one would take otherwise.
bench:
	cargo bench --bench micro

# Every fuzz target for FUZZ_SECONDS (60); docs/testing.md has the figures of a long run.
fuzz:
	fuzz/run

# Changes the code in small ways and sees whether a test notices; tests/mutants/run says how to have a
# sample or a part of it. All of it takes hours.
mutants:
	tests/mutants/run

# The recipes of README, migrating.md and man page, as they stand there, with real clients through the
# release daemon to the real servers that they name. Needs root; installs what is missing.
e2e:
	tests/e2e/run

# Cables that are pulled, slow links, delay and loss, between network namespaces: two minutes. Needs
# root; installs what is missing.
cables:
	tests/cables/run

# An hour at 20 kB/s with a Python, a Node and a Chromium client, direct and through nginx.
cables-long:
	tests/cables/run --long

# A browser's console, the bridge, and a small server that speaks lines.
demo: build
	rustc --edition 2024 -O -o target/line_server examples/line_server.rs
	examples/demo.sh

# The demo as README runs it, with a small client in the browser's place.
check-demo:
	tests/fresh/demo

# `make demo` and `make check` on a bare machine: a Debian 12 root under target/fresh with gcc, make
# and this machine's Rust toolchain. Needs root and debootstrap.
fresh:
	tests/fresh/run

# All cases of Autobahn|Testsuite against the bridge with an echo behind it. Installs what runs them
# under target/; needs Python 3.9 or later with pip or venv.
conformance: build
	tests/autobahn/run

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
	WEBSOCKSY_BINARY="$(CURDIR)/target/release/websocksy" cargo test --test exports

# The clauses of the contract, each by a plug-in in C, above the release binary.
check-contract: build
	WEBSOCKSY_BINARY="$(CURDIR)/target/release/websocksy" cargo test --test plugins contract

# The example plug-ins under AddressSanitizer; these and the bundled ones under valgrind. The paths
# are relative, since make cannot name a file with blanks in it.
check-plugins: backends
	if $(MAKE) -C backends/examples OUT=../../target/plugins-c has-sanitizers; then \
		$(MAKE) -C backends/examples OUT=../../target/plugins-c check-sanitized; \
		else tests/left-out 'plug-ins under AddressSanitizer' 'the C compiler has none'; fi
	$(MAKE) -C backends/examples OUT=../../target/plugins-c all
	VALGRIND=$$(command -v valgrind) backends/examples/check target/plugins-c target/plugins
	command -v valgrind >/dev/null || tests/left-out 'plug-ins under valgrind' 'no valgrind'

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

# An OCI image layout under target/image, of the same files: `skopeo copy oci:target/image ...`.
image: PLUGINPATH = /usr/lib/websocksy
image: rootfs
	rm -rf target/image
	examples/packaging/image target/rootfs target/image \
		"$$(target/release/websocksy -V | cut -d' ' -f2)"

# Debian packages under target/deb: the daemon, and what plug-in authors need. Needs debhelper.
deb:
	examples/packaging/deb

# The packages, the units and the image: built, checked, installed in a bare Debian 12 root, run.
# Needs root; installs what is missing.
packages:
	tests/packaging/run

# Copies what `make build backends` has built, so that root needs no Rust toolchain.
install:
	@test -f target/release/websocksy -a -f target/plugins/backend_file.so || \
		{ echo 'Nothing to install yet; first, as yourself: make build backends' >&2; exit 1; }
	install -D -m 755 target/release/websocksy $(DESTDIR)$(PREFIX)/bin/websocksy
	install -D -m 644 -t $(DESTDIR)$(PLUGINPATH) target/plugins/*.so
	install -D -m 644 docs/websocksy.8 $(DESTDIR)$(PREFIX)/share/man/man8/websocksy.8
	install -D -m 644 backends/include/websocksy.h $(DESTDIR)$(PREFIX)/include/websocksy.h

clean:
	cargo clean
