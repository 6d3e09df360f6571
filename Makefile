# What a developer types. Everything else is `go` itself.
GO      ?= go
FUZZTIME ?= 30s
BIN     := bin

.PHONY: demo demo-check scim-vectors test check bench fuzz build deps clean

demo: ## run all of Latchkey on this machine until Ctrl-C
	@$(GO) build -o $(BIN)/latchkey-demo ./cmd/latchkey-demo
	@$(BIN)/latchkey-demo

demo-check: ## show step by step that the demonstration does its work
	@$(GO) build -o $(BIN)/latchkey-demo ./cmd/latchkey-demo
	@$(BIN)/latchkey-demo check

scim-vectors: ## play the recorded directory sequences against a demonstration, and see their effects at its doors
	@$(GO) build -o $(BIN)/latchkey-demo ./cmd/latchkey-demo
	@scripts/scim-vectors $(BIN)/latchkey-demo

test: ## install what the tests need, and pass them all
	@scripts/test

check: ## the quick loop: format, vet, lint, tests of what changed
	@scripts/check

bench: ## print the performance table
	@scripts/bench

fuzz: ## run every fuzz target (of the packages in FUZZ) for FUZZTIME
	@FUZZTIME=$(FUZZTIME) FUZZ="$(FUZZ)" scripts/fuzz

build: ## build all programs into bin/
	@$(GO) build -o $(BIN)/ ./cmd/...

deps: ## install what the tests need
	@scripts/deps

clean:
	@rm -rf $(BIN) .cache
