# `make help` lists what there is. Everything that is downloaded or built goes into .cache/ and bin/.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# What is built says which version it is: that of the tag, else the one in VERSION with the commit.
VERSION ?= $(shell scripts/version)
FUZZTIME ?= 40000x
# What `make demo` runs.
EXAMPLE ?= examples/reviews.jsonl
# The packages that share memory between goroutines, and so are run under the race detector. Left out are the promise
# tests, which judge whole processes from outside, tests that only read source files, and what has no goroutines: gates and engines.
# Golden exchanges are left out: hundreds of servers that each get one call after another have nothing to race. So are
# the simulated worlds, which are one goroutine in virtual time.
RACE = $$(go list ./internal/... | grep -vE '/internal/(promise|archtest|sim/batching|limit)$$')

# judge reads `go test -json`, prints what matters and fails if a test failed or one that must run did not.
judge = go run ./scripts/requiretests -list scripts/required-tests.txt -stage

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Run a batch of examples/ through the built-in simulator (needs Go alone)
	@rm -rf .cache/demo && mkdir -p .cache/demo
	bin/batchd run $(EXAMPLE) --upstream sim --output .cache/demo/output.jsonl --errors .cache/demo/errors.jsonl --state .cache/demo/state
	@echo "The first of $$(wc -l < .cache/demo/output.jsonl | tr -d ' ') results in .cache/demo/output.jsonl:"
	@head -n 1 .cache/demo/output.jsonl

.PHONY: build
build: ## Build bin/batchd
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/batchd ./cmd/batchd

.PHONY: test
test: setup ## Run every test: also SDKs, a real model, kill -9
	BATCHD_REQUIRE_ALL=1 go test -json -count=1 -timeout 20m ./... | $(judge) test

.PHONY: test-go
test-go: ## Run the tests that need Go alone
	go test -timeout 20m ./...

.PHONY: setup
setup: ## Fetch what the tests need beyond Go into .cache/
	@scripts/setup

.PHONY: race
race: ## Run the tests of concurrent code under the race detector
	@scripts/setup race
	CGO_ENABLED=1 go test -race -shuffle=on -timeout 40m -skip '^(TestGoldenExchanges|TestI20|TestI25Slow|TestF16AWallClock|TestWhoseFault|TestOutageBudgets|TestScheduleKeeps)' $(RACE)

.PHONY: failpoint
failpoint: ## Stop the process at every step of the durable core and check what is left
	go test -tags failpoint -json -count=1 -timeout 20m ./internal/promise/... ./internal/app/... | $(judge) failpoint

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (40,000 inputs, or a time such as 10m) each
	FUZZTIME=$(FUZZTIME) scripts/fuzz

.PHONY: lint
lint: ## Check style and the usual mistakes, in Go and in the forge's workflows
	@scripts/setup lint workflow
	.cache/bin/golangci-lint run ./...
	.cache/bin/actionlint .github/workflows/*.yml

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what is used (asks the database at vuln.go.dev)
	@scripts/setup vuln
	.cache/bin/govulncheck $(VULNFLAGS) ./...

.PHONY: fmt
fmt: ## Format all Go files
	@scripts/setup lint
	.cache/bin/golangci-lint fmt ./...

.PHONY: static
static: ## Check formatting, modules, go vet, the builds for other platforms and the licences (needs Go alone)
	@unformatted=$$(gofmt -l cmd internal scripts test); if [ -n "$$unformatted" ]; then echo "gofmt would change:" $$unformatted; exit 1; fi
	go vet ./...
	go vet -tags failpoint ./internal/...
	scripts/check-modules
	VERSION='$(VERSION)' scripts/check-builds
	go run ./scripts/licenses

.PHONY: licenses
licenses: ## Write the licences of all that is linked to THIRD_PARTY_LICENSES
	go run ./scripts/licenses -write

.PHONY: bench
bench: build ## Measure against a bare HTTP loop, about an hour; the figures go to docs/benchmarks.md
	@scripts/setup model
	go run ./test/bench -binary bin/batchd -write docs/benchmarks.md

.PHONY: bench-dispatch
bench-dispatch: ## Compare limits on virtual engines, about two minutes; the figures and plots go to docs/dispatch.md
	BATCHD_DISPATCH_REPORT=$(CURDIR)/docs/dispatch.md go test -count=1 -timeout 20m -run '^TestBenchDispatch$$' ./test/dispatchbench
	@sed -n '/^| |.*batchd/,/^$$/p;/^### /p;/MISSED/p' docs/dispatch.md

.PHONY: bench-levels
bench-levels: build ## Measure how many calls batchd keeps in flight, about 16 minutes; the figures go to docs/benchmarks.md
	go run ./test/bench levels -binary bin/batchd -write docs/benchmarks.md

.PHONY: proof
proof: ## Kill the server 600 times, stop it 200 times, harm its files 2,000 times, then break its code on purpose; the figures go to docs/reliability.md
	BATCHD_PROOF_KILLS=300 BATCHD_PROOF_REPORT=$(CURDIR)/docs/reliability.md go test -count=1 -timeout 3h -run '^TestProof$$' -v ./internal/promise
	@$(MAKE) --no-print-directory damage
	BATCHD_PROOF_FLOOD=20s go test -count=1 -run '^TestF13DescriptorFlood$$' -v ./internal/promise
	BATCHD_PROOF_SOAK=20000 go test -count=1 -timeout 1h -run '^TestSoak$$' -v ./internal/promise
	@$(MAKE) --no-print-directory mutate

.PHONY: damage
damage: ## Harm the files of a data directory 2,000 times after kill -9, about twenty minutes; the table goes to docs/reliability.md
	BATCHD_PROOF_DAMAGES=2000 BATCHD_PROOF_REPORT=$(CURDIR)/docs/reliability.md go test -count=1 -timeout 3h -run '^TestDamageMatrix$$' -v ./internal/promise

.PHONY: mutate
mutate: ## Break the code on purpose in dozens of ways and check that a test notices each; the table goes to docs/reliability.md
	go run ./test/mutate -write docs/reliability.md

.PHONY: stats
stats: ## Count what a reader of the code meets, beside four model servers
	@go run ./test/stats

.PHONY: worlds
worlds: ## Run all simulated worlds, about two minutes; the table goes to docs/adr/0015-whose-fault.md
	scripts/worlds docs/adr/0015-whose-fault.md

.PHONY: check
check: ## Run all that CI runs
	@scripts/setup python node curl model race
	.ci/run
