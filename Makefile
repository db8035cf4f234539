# Every command that a person or CI needs. `make help` lists them.
#
# `setup` asks only the ordinary package clients (apt-get, pip) and only for what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
PYTHON := $(TARGET)/python
CARGO ?= cargo

.PHONY: help setup setup-lint demo test lint bench fuzz clean-debian clean-demo

help: ## what can be done here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed 's/:.*## /\t/' | while IFS=$$'\t' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## install what the build and the tests need (Debian, Ubuntu)
	@./.ci/setup $(TARGET)

setup-lint: ## install cargo-deny, which `make lint` uses when it is there
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked

demo: ## start two agencies on this machine and say where to look
	@./.ci/setup $(TARGET) build
	@$(CARGO) run --locked -p bailiwick -- demo

test: setup ## all tests: rooms, formats, the story in a real browser
	$(CARGO) test --locked --workspace --no-fail-fast

lint: ## formatting, clippy without warnings, licences and banned crates
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -Dwarnings
	@if command -v cargo-deny >/dev/null; then cargo deny --locked --log-level error check bans licenses sources; \
	else echo 'cargo-deny is not installed (make setup-lint): the ban test of xtask stands alone'; fi

bench: ## gateway, ledger, parcels, exchange and more beside their peers (release; 45 GB of disk): make bench PARTS=ledger ROUNDS=5
	@./.ci/setup $(TARGET) bench
	$(CARGO) build --locked --release -p bailiwick -p bench
	@$(TARGET)/release/bench --out $(TARGET)/bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(PARTS)

fuzz: ## fuzz every parser for SECONDS each (60): make fuzz SECONDS=600 TARGETS="saml-response policy"
	@./fuzz/run $(or $(SECONDS),60) $(TARGETS)

clean-debian: ## open a parcel on a fresh Debian by its HOW-TO-OPEN.txt alone (root, a mirror, 2 minutes): make clean-debian SUITES="bookworm trixie"
	@command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; }
	@sh docs/formats/open_on_clean_debian.sh $(or $(SUITES),bookworm trixie)

clean-demo: ## forget what the demo made
	rm -rf demo-data
