# What a person does with this repository; `make` by itself lists it.

.DEFAULT_GOAL := help
.PHONY: help set-up wasm reproducible demo test unit lint clean

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

set-up: ## Fetches and builds all that tests and demo stand on, once
	@tests/set-up all >/dev/null

wasm: ## Builds the filter: target/wasm32-wasip1/release/holdfast.wasm
	@tests/set-up wasm

reproducible: ## Builds this commit in two folders and compares the modules
	@tests/reproducible

demo: set-up ## Shows the filter at work; KEEP=1 leaves everything up
	@HOLDFAST_WASM=$$(tests/set-up wasm 2>/dev/null) cargo run --quiet --locked --package harness --bin demo

test: set-up lint ## Runs every test: unit, through the core, in a real Envoy
	@HOLDFAST_WASM=$$(tests/set-up wasm 2>/dev/null) cargo test --workspace --locked

unit: ## Runs what needs no proxy
	@cargo test --locked --lib --test journeys

lint: ## Formatting, lints for both targets, and the documentation
	@tests/lint

clean: ## Removes what was built; downloads stay in the cache
	@cargo clean
