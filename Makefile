# Everything starts here: `make demo`, `make test`, `make lint`, `make bench`. `make help` lists them.
# FOR=forever (or a number of seconds) is for the demo, and PLUGIN=mine.wasm POINTS='charger/*' SETTINGS='{ every = "10s" }'; FOR=1h, SEED=7 and BROKER=mqtt5 for the soak.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
FOR ?=
PLUGIN ?=
POINTS ?=
SETTINGS ?=
COMPONENTS := plugins/target/components

DESTDIR ?=

SEED ?=
BROKER ?= mosquitto

# The languages whose example the tests need; `make examples IN=python` makes the one that they run where it is there.
IN ?= rust c javascript

.PHONY: help demo soak test lint bench build plugins examples needs install audit clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | column -t -s $$'\t'

build: plugins ## build every program and the standard plugins
	cargo build --locked --workspace --bins

plugins: ## build the plugins into components
	$(MAKE) -C plugins components

examples: needs ## build the example plugin in Rust, C and JavaScript (IN=python)
	plugins/examples/build $(IN)

demo: build ## a street in a process, on real protocols; ends by itself in under two minutes (FOR=forever PLUGIN=mine.wasm)
	@target/debug/street demo --plugin $(COMPONENTS)/deadband.wasm $(if $(FOR),--for $(FOR)) $(if $(PLUGIN),--own '$(PLUGIN)') \
		$(if $(POINTS),--own-points '$(POINTS)') $(if $(SETTINGS),--own-settings '$(SETTINGS)')

soak: needs build ## SIGKILL for daemon, plugin host and broker at random moments; the ledger closes (FOR=1h SEED= BROKER=mqtt5|rumqttd)
	@if [[ $(BROKER) != mosquitto ]]; then \
		cargo build --locked --manifest-path tests/brokers/Cargo.toml -p $(BROKER)-broker; \
	fi
	@target/debug/street soak --plugin $(COMPONENTS)/deadband.wasm --broker $(BROKER) \
		$(if $(FOR),--for $(FOR)) $(if $(SEED),--seed $(SEED))

test: needs build examples ## every test, with real peers (installs what they need from Debian, saying so first)
	@if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --locked --workspace; \
	else \
		cargo test --locked --workspace --all-targets; \
	fi
	cargo test --locked --manifest-path plugins/Cargo.toml --workspace

needs: ## install the peers that the tests meet: mosquitto, libmodbus, pymodbus, PostgreSQL, socat, openssl, faketime
	@tests/needs

lint: needs plugins ## formatting, clippy, one TLS provider, licences, sources
	cargo fmt --all --check
	cargo fmt --manifest-path plugins/Cargo.toml --all --check
	cargo fmt --manifest-path tests/brokers/Cargo.toml --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --manifest-path plugins/Cargo.toml --workspace --all-targets -- -D warnings
	tests/lint

bench: build needs ## the first figures, each with its comparison in the same run (release build, some minutes)
	tests/bench/run

install: plugins ## install curb, its unit and the standard plugins on this machine (release build; as root; DESTDIR=)
	cargo build --locked --release -p curb
	install -D -m 0755 target/release/curb $(DESTDIR)/usr/bin/curb
	install -D -m 0644 $(COMPONENTS)/deadband.wasm $(DESTDIR)/usr/lib/curb/plugins/deadband.wasm
	install -D -m 0644 $(COMPONENTS)/guard.wasm $(DESTDIR)/usr/lib/curb/plugins/guard.wasm
	install -D -m 0644 $(COMPONENTS)/alarm.wasm $(DESTDIR)/usr/lib/curb/plugins/alarm.wasm
	install -D -m 0644 $(COMPONENTS)/crowd.wasm $(DESTDIR)/usr/lib/curb/plugins/crowd.wasm
	install -D -m 0644 $(COMPONENTS)/derive.wasm $(DESTDIR)/usr/lib/curb/plugins/derive.wasm
	install -D -m 0644 $(COMPONENTS)/window.wasm $(DESTDIR)/usr/lib/curb/plugins/window.wasm
	install -D -m 0644 $(COMPONENTS)/rate.wasm $(DESTDIR)/usr/lib/curb/plugins/rate.wasm
	install -D -m 0644 provisioning/packaging/curb.service $(DESTDIR)/usr/lib/systemd/system/curb.service
	install -D -m 0644 provisioning/packaging/curb-plugins.socket $(DESTDIR)/usr/lib/systemd/system/curb-plugins.socket
	install -D -m 0644 provisioning/packaging/curb-plugins.service $(DESTDIR)/usr/lib/systemd/system/curb-plugins.service
	install -D -m 0644 provisioning/packaging/curb.sysusers $(DESTDIR)/usr/lib/sysusers.d/curb.conf
	install -D -m 0644 gateway/daemon/curb.example.toml $(DESTDIR)/usr/share/doc/curb/curb.example.toml

audit: ## cargo-deny: advisories, licences, sources, duplicates (needs the network and cargo-deny)
	cargo deny --manifest-path Cargo.toml check --config .cargo/deny.toml

clean: ## remove what was built
	cargo clean
	cargo clean --manifest-path plugins/Cargo.toml
	cargo clean --manifest-path tests/brokers/Cargo.toml
