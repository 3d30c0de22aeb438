# Each target says what it needs; `make check` is what CI runs, but for the browser.
.PHONY: build test check check-long check-style check-licences check-demo check-exports check-contract \
	check-plugins conformance check-conformance fresh mutants sweep bench fuzz e2e e2e-fleet cables \
	cables-long workers-long flood backends demo demo-vnc bench-bridges bench-rivals rootfs image deb sbom packages \
	reproducible dockerfile install clean bench-guard bench-guard-baseline

PREFIX ?= /usr/local
# Where the installed daemon looks for plug-ins unless it is told.
PLUGINPATH ?= $(PREFIX)/lib/websocksy

CARGO_DENY := 0.20.2

# Recipes and tests name files under target/, wherever the user's Cargo would build.
export CARGO_TARGET_DIR := $(CURDIR)/target

# A crate whose build script writes a source has its place in what is compiled of it, and what stands on it
# is put together otherwise in another directory: so the checkout is called `.`. Who sets RUSTFLAGS has theirs.
RELEASE := cargo --config 'build.rustflags = ["--remap-path-prefix=$(CURDIR)=."]' build

build:
	PLUGINPATH=$(PLUGINPATH) $(RELEASE) --release --bin websocksy

# Unit, table and property tests, and the tests that drive the real binary.
test:
	cargo test --workspace

# All that can be checked without a browser: some twenty minutes on two cores, half of it compiling. gcc, make and a Rust
# toolchain will do. What needs more and does not find it is left out, with a line at the end that
# says so; with CI set, that is a failure.
check: export LEAVE_OUT = yes
check:
	@rm -f target/left-out
	$(MAKE) check-style
	SIM_SEEDS=10000 REACTOR_SEEDS=5000 cargo test --workspace
	$(MAKE) check-exports check-contract check-plugins check-demo check-conformance bench-guard
	@tests/left-out

# What is compiled anew for it, and takes ten minutes more: what is refused without features, ten times the
# seeds of the simulations, and messages of 64 MiB.
check-long:
	cargo test --no-default-features --lib -- config:: backend::target
	SIM_SEEDS=100000 cargo test --profile checked --test simulate -- --nocapture
	REACTOR_SEEDS=20000 cargo test --profile checked --test reactor -- --nocapture
	MESSAGE_MIB=64 cargo test --profile checked --test memory any_length -- --nocapture

# rustup's minimal profile has neither.
check-style:
	if cargo fmt --version >/dev/null 2>&1; then cargo fmt --all -- --check; \
		else tests/left-out format 'no rustfmt (rustup component add rustfmt)'; fi
	if cargo clippy --version >/dev/null 2>&1; then \
		cargo clippy --workspace --all-targets -- -D warnings && \
		cargo clippy --no-default-features -- -D warnings; \
		else tests/left-out lints 'no clippy (rustup component add clippy)'; fi

# Licences and sources of all crates in a release. Builds cargo-deny under target/, once.
check-licences:
	target/tools/bin/cargo-deny --version 2>/dev/null | grep -qx 'cargo-deny $(CARGO_DENY)' || \
		cargo install --quiet --locked --debug --no-default-features --root target/tools \
			cargo-deny@$(CARGO_DENY)
	target/tools/bin/cargo-deny --workspace check licenses bans sources

# Every system call of scripted sessions, of the start and of the end, with every error that it may
# meet: some ten minutes. `make test` has a sample of it.
sweep:
	SWEEP=all cargo test --test sweep -- --nocapture

# Micro-benches, each beside the crate one would take otherwise, or what does the same plainly.
bench: backends
	cargo bench --bench micro --bench engine

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

# Servers that a fleet keeps its routes in, each away for a minute; 600 sessions that move between three bridges;
# the manifests. Some five minutes. Needs root; installs what is missing.
e2e-fleet:
	tests/fleet/run

# Cables that are pulled, slow links, delay and loss, between network namespaces: two minutes. Needs
# root; installs what is missing.
cables:
	tests/cables/run

# An hour at 20 kB/s with a Python, a Node and a Chromium client, direct and through nginx.
cables-long:
	tests/cables/run --long

# A hundred workers killed and twenty new binaries, under 2,000 clients a second: five minutes.
workers-long: build
	WORKERS_LONG=1 cargo test --test workers -- --nocapture --test-threads=1 \
		nobody_is_refused a_new_binary_comes
	python3 tests/workers/drain.py target/release/websocksy

# As many TLS handshakes that are not done as 20,000 descriptors allow, at once, before the release daemon.
HALF_DONE ?= 9900
flood: build
	HALF_DONE=$(HALF_DONE) WEBSOCKSY_BINARY="$(CURDIR)/target/release/websocksy" \
		cargo test --test tls -- --nocapture half_done

# A browser's console, the bridge, and a small server that speaks lines.
demo: build
	rustc --edition 2024 -O -o target/line_server examples/line_server.rs
	examples/demo.sh

# A desktop in the browser: Xvnc, noVNC's pages, and the bridge. Installs what is missing of Debian's.
demo-vnc: build
	examples/demo-vnc.sh

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

# The same with only a few of the cases of compression, all of which take some twenty minutes.
check-conformance: build
	tests/autobahn/run --short

# The bundled plug-ins, into target/plugins: `websocksy --plugins $PWD/target/plugins -b file`.
BACKENDS := file token jwt redis http srv
FRAMINGS := fixedlength dynamic32 json
backends:
	$(RELEASE) --profile plugin $(BACKENDS:%=-p websocksy-backend-%) $(FRAMINGS:%=-p websocksy-%)
	install -d -m 755 target/plugins
	for name in $(BACKENDS:%=backend_%) $(FRAMINGS); do \
		install -m 755 target/plugin/lib$$name.so target/plugins/$$name.so || exit 1; \
	done

# With --workspace, here and below, so that crates have the features that they have in `cargo test
# --workspace`, and are not compiled again. What plug-ins call is in the release binary too, which is optimised at link time.
check-exports: build
	WEBSOCKSY_BINARY="$(CURDIR)/target/release/websocksy" cargo test --workspace --test exports

# The clauses of the contract, each by a plug-in in C, above the release binary.
check-contract: build
	WEBSOCKSY_BINARY="$(CURDIR)/target/release/websocksy" cargo test --workspace --test plugins contract

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
	$(RELEASE) --release --bins --example bench-bridges
	ulimit -n $$(ulimit -Hn) && target/release/examples/bench-bridges

# Instructions and system calls of a unit of work, beside benches/guard/baseline.txt; fails where there
# are more. Half a minute; docs/performance.md says how to read it.
bench-guard: build
	if command -v valgrind >/dev/null && command -v strace >/dev/null; then \
		cargo build --quiet --workspace --example bench-guard && \
		target/debug/examples/bench-guard target/release/websocksy; \
		else tests/left-out 'instructions and system calls' 'no valgrind, or no strace'; fi

# Writes that file anew, where a change is worth what it costs.
bench-guard-baseline: build
	cargo build --quiet --workspace --example bench-guard
	target/debug/examples/bench-guard target/release/websocksy --update

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

# What is in the daemon: crates, versions, licences, checksums (CycloneDX).
sbom:
	@mkdir -p target
	examples/packaging/sbom >target/websocksy.cdx.json

# The packages, the units and the image: built, checked, installed in a bare Debian 12 root, run.
# Needs root; installs what is missing.
packages:
	tests/packaging/run

# The Dockerfile's images and the compose file, by buildah over bases that are made here. Needs root;
# installs what is missing.
dockerfile:
	tests/packaging/dockerfile

# Two builds in two directories, and the same bytes.
reproducible:
	tests/packaging/reproducible

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
