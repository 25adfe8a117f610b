# Every task of this repository: `make` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.PHONY: help set-up wasm image reproducible demo bench bench-core schema lint lint-wasm test test-istio test-keycloak test-step-ca test-versions \
  fuzz fuzz-short coverage mutants clean
.DEFAULT_GOAL := help

output := $(or $(CARGO_TARGET_DIR),target)
with_module = HOLDFAST_WASM="$$(realpath "$(output)/wasm32-wasip1/release/holdfast.wasm")"
# Bash counts in a variable of that name, see `took`.
unexport SECONDS
print_schema = cargo run --quiet --locked --example schema --features schema
took = echo "make: $(1) took $$SECONDS s"

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

set-up: ## fetch what is needed, once: the wasm target, Envoy, the authorization server
	@tests/set-up wasm-target envoy oidc-provider

wasm: ## build the module, and print its size and SHA-256
	@tests/set-up wasm

image: ## pack the module as an image for registries (an OCI layout, a bill of materials, sums), and print its digest
	@tests/set-up image

reproducible: ## build HEAD in two folders and compare module, image and bill of materials byte for byte
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	clone() { git clone --quiet --no-local "$$1" "$$folder/$$2"; }; \
	build() { \
	  CARGO_TARGET_DIR=$$folder/$$2 "$$folder/$$1/tests/set-up" image; \
	  sums+=("$$(cat "$$folder/$$2/SHA256SUMS")"); \
	}; \
	clone . short; clone "$$folder/short" a-folder-with-a-longer-name/and/depth; \
	build short target; \
	build a-folder-with-a-longer-name/and/depth elsewhere/output; \
	if [[ $${sums[0]} != "$${sums[1]}" ]]; then echo "make: NOT reproducible: two builds of HEAD differ"; exit 1; fi; \
	echo "make: reproducible: both builds of HEAD have these SHA-256"; echo "$${sums[0]}"; \
	$(call took,reproducible)

demo: set-up wasm ## send real requests through Envoy and show what became of them; KEEP=1 leaves it running; KEYCLOAK=1 with Keycloak
	@$(if $(filter-out 0,$(KEYCLOAK)),tests/set-up keycloak)
	@cargo build --locked --package harness --bin demo
	@$(with_module) exec cargo run --quiet --locked --package harness --bin demo

bench: ## measure the filter beside what else could be used; ONLY=hot in a minute, ONLY=name,name; SAVE=1 for the README
	@tests/set-up envoy $(if $(HOLDFAST_WASM),,wasm) >/dev/null
	@cargo build --release --locked --package bench
	@$(if $(HOLDFAST_WASM),,$(with_module)) "$(output)/release/bench" $(if $(SAVE),--save) $(ONLY); $(call took,bench)

schema: ## write the JSON Schema of the configuration from its types
	@schema=$$($(print_schema)); printf '%s\n' "$$schema" >docs/holdfast.schema.json

# What plain `cargo test` leaves out is not among all targets, and beside --all-targets a name counts for nothing.
lint: ## check format, clippy and the documentation, for this machine and for wasm
	@cargo fmt --version >/dev/null || { echo "make: rustfmt is missing; install it with: rustup component add rustfmt"; exit 1; }
	@cargo clippy --version >/dev/null || { echo "make: clippy is missing; install it with: rustup component add clippy"; exit 1; }
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features holdfast/schema --locked -- -D warnings
	cargo clippy --workspace --test keycloak --test step-ca --features holdfast/schema --locked -- -D warnings
	@$(print_schema) | cmp --silent - docs/holdfast.schema.json || { echo "make: docs/holdfast.schema.json is not what the types say; run: make schema"; exit 1; }
	@if compgen -G "$$(rustc --print target-libdir --target wasm32-wasip1)/libstd-*.rlib" >/dev/null; then \
	  $(MAKE) --no-print-directory lint-wasm; \
	else \
	  echo "make: NOT linted for wasm32-wasip1: this toolchain has no standard library for it"; \
	fi

lint-wasm:
	cargo clippy --lib --locked --target wasm32-wasip1 -- -D warnings
	cargo clippy --lib --features vectors --locked --target wasm32-wasip1 -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --lib --document-private-items --locked --target wasm32-wasip1

test: ## set up, build, check and run every test
	@$(MAKE) --no-print-directory set-up; tests/set-up envoys nginx haproxy; $(call took,set-up)
	@$(MAKE) --no-print-directory wasm; tests/set-up vectors; $(call took,wasm)
	@$(MAKE) --no-print-directory lint; $(call took,lint)
	@$(with_module) cargo test --workspace --locked; $(call took,cargo test)
	@$(MAKE) --no-print-directory fuzz-short

test-istio: ## run what istio/ ships through Istio's own code: validators, control plane, agent, Envoy; 5 to 15 minutes the first time; HOLDFAST_ALL=1: leave nothing out
	@tests/set-up istio image >/dev/null; $(call took,set-up)
	@program=$$(tests/set-up istio); envoy=$$(tests/set-up envoy); image=$$(realpath "$(output)/image"); \
	iptables=$$(tests/set-up iptables || true); \
	export HOLDFAST_ENVOY=$$envoy HOLDFAST_IMAGE=$$image HOLDFAST_IPTABLES=$$iptables; \
	env --chdir=tests/istio "$$program" -test.v -test.timeout=5m; $(call took,test-istio)

fuzz: ## try every parser with SECONDS=60 of made-up input each; needs a nightly compiler
	@tests/set-up nightly
	@fuzz/run $(or $(SECONDS),60); $(call took,fuzz)

# Short enough for every run; without a nightly compiler nothing is tried, and that is said.
fuzz-short:
	@if tests/set-up nightly; then fuzz/run 3; $(call took,fuzz-short); else echo "make: NOT fuzzed: there is no nightly compiler"; fi

coverage: ## run the core's tests and print which lines they do not reach; fails under 96 %
	@tests/coverage "$(output)/coverage.lcov"; $(call took,coverage)

mutants: ## change token, binding, policy and denial in every way and count what tests notice; fails under 90 %; FILE=src/… for one
	@tool=$$(tests/set-up cargo-mutants); export PATH=$$tool/bin:$$PATH; \
	cargo mutants --output $(output) $(if $(FILE),--re '^$(FILE):') || (($$? == 2 || $$? == 3)); \
	of() { wc -l <"$(output)/mutants.out/$$1.txt"; }; \
	caught=$$(($$(of caught) + $$(of timeout))); all=$$((caught + $$(of missed))); \
	echo "make: $$caught of $$all mutants were noticed"; cat $(output)/mutants.out/missed.txt; $(call took,mutants); \
	((all > 0 && caught * 100 >= all * 90)) || { echo "make: fewer than 90 % of the mutants were noticed"; exit 1; }

bench-core: ## measure single acts of the core on this machine; ONLY=route for those
	@cargo bench --locked --bench core -- $(ONLY)

test-keycloak: ## run the tests beside a real Keycloak, which needs Java and Maven
	@tests/set-up envoy keycloak; $(call took,set-up)
	@$(MAKE) --no-print-directory wasm; $(call took,wasm)
	@$(with_module) cargo test --locked --test keycloak; $(call took,test-keycloak)

test-versions: ## run the tests of older Envoys alone (`make test` runs them too)
	@tests/set-up envoys wasm
	@$(with_module) cargo test --locked --test envoy versions::

test-step-ca: ## issue and renew certificates by a real step-ca, beside tokens bound to them; the first run builds it with Go
	@tests/set-up envoy oidc-provider step-ca wasm
	@$(with_module) cargo test --locked --test step-ca; $(call took,test-step-ca)

clean: ## remove what was built here (downloads stay in the cache)
	@cargo clean
