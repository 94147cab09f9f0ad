# Every target does its own set-up: on a fresh machine, Python 3.11+, Go 1.26+ and a C compiler
# are enough.
.PHONY: help demo check test mutants mutations fuzz bench bench-go overload floods soak history refusals mutation build skew lint audit sbom conformance preprocess clean
.DELETE_ON_ERROR:

VENV := $(CURDIR)/.venv
PY := $(VENV)/bin/python
FORGO := $(VENV)/bin/forgo
GO := scripts/go.sh
TOOL := go tool -modfile=go.tool.mod
# The Go tests find ONNX Runtime in the environment's wheel.
export VIRTUAL_ENV := $(VENV)

help:
	@echo "make demo     train on real digits, verify, predict, serve: about two minutes"
	@echo "make check    lint, types, unit tests: the quick loop"
	@echo "make test     everything, mutants included"
	@echo "make mutants  plant skews and see each refused"
	@echo "make mutations  100,000 pictures with one byte changed, in Python and Go"
	@echo "make fuzz     every fuzz target for FUZZTIME (5m), one after another"
	@echo "make bench    forgo beside older stacks, in turns, into docs/benchmarks: a few minutes"
	@echo "make overload ten times more than ResNet50 answers; make soak: hot swaps for ten minutes"
	@echo "make floods   requests that are small on the wire and large in memory, into docs/benchmarks"
	@echo "make history  a random history of copies, damage, signals and errors, SECONDS (3600) from SEED (random)"
	@echo "make mutation  changes in the code, one at a time, which tests should notice"
	@echo "make audit    known vulnerabilities in what forgo depends on; make sbom: what that is"
	@echo "make build    the Go binary, for the Python command to hand over to"

.venv/ready: pyproject.toml uv.lock scripts/setup.sh
	@scripts/setup.sh

build: .venv/ready
	@$(GO) build -o src/forgo/bin/forgo ./cmd/forgo

demo: build
	@$(PY) examples/demo.py

lint: .venv/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(TOOL) actionlint -shellcheck= -pyflakes=
	@out=$$($(TOOL) gofumpt -l .); test -z "$$out" || { echo "not formatted by gofumpt: $$out"; exit 1; }
	$(TOOL) staticcheck -tags "$$($(GO) tags)" ./...

check: lint build
	$(GO) test -short ./...
	$(PY) -m pytest -q -m "not slow"

test: lint build
	$(PY) scripts/gotest.py -race ./...
	FORGO_GO_TAGS= $(PY) scripts/gotest.py ./predict/... ./serve/... ./cmd/...
	$(PY) -m pytest -n 2 --dist loadfile
	$(MAKE) mutants

mutants: build build/tiles.forgo/forgo.json build/mutants/ready
	@$(PY) -m mutants

# BENCH_SECONDS a turn, BENCH_ROUNDS of turns; python -m bench --help has the rest.
bench: build
	@$(PY) -m bench

# OVERLOAD_SECONDS and SOAK_SECONDS make them shorter; python -m stress.soak --help has the rest.
overload: build
	@$(PY) -m stress.overload

floods: build
	@$(PY) -m stress.floods -o docs/benchmarks/floods.md

soak: build
	@$(PY) -m stress.soak

# A history of SECONDS from SEED (0: a random one, which is printed), with the race detector in the server. One that
# fails stays in build/stress/history.
SECONDS ?= 3600
SEED ?= 0
history: build
	@$(GO) build -race -buildmode=exe -o build/stress/forgo-race ./cmd/forgo
	@$(GO) run ./stress/history -binary build/stress/forgo-race -seconds $(SECONDS) -seed $(SEED)

# What a hundred of each refused request leave behind, into docs/refusals.md.
refusals: .venv/ready
	FORGO_UPDATE_REFUSALS=1 $(GO) test -count=1 -run TestRefusedRequestsLeaveNothing ./serve

# Code with one thing changed at a time, of which the tests should notice every one: MUTANTS drawn by SEED, into
# docs/mutation.md.
MUTANTS ?= 60
mutation: build
	@$(PY) scripts/mutation.py --sample $(MUTANTS) --seed $(or $(filter-out 0,$(SEED)),1)

bench-go: .venv/ready
	$(GO) test -run '^$$' -bench '^Benchmark(Request|Run)$$' -benchmem ./predict ./serve

# MUTATIONS pictures with one byte changed, each answered by Python and by both decoders in Go. PICTURES is a pattern
# of their files: `make mutations MUTATIONS=1000000 PICTURES='*.jpg'` holds the JPEG decoder to libjpeg-turbo.
PICTURES ?= *
MUTATIONS ?= 100000
mutations: .venv/ready
	FORGO_MUTATIONS=$(MUTATIONS) FORGO_PICTURES='$(PICTURES)' $(GO) test -run TestMutatedPicturesAgreeWithPython -timeout 60m -v ./predict/pixels

fuzz: .venv/ready
	@scripts/fuzz.sh

# Both are asked even where the first finds something.
audit: .venv/ready
	@scripts/audit.sh go; go=$$?; scripts/audit.sh python && exit $$go

sbom: build
	@$(PY) scripts/sbom.py build/sbom

# Trained bundles that tests and mutants share.
TRAINING := $(wildcard src/forgo/*.py src/forgo/training/*.py src/forgo/exporting/*.py)
build/%.forgo/forgo.json: examples/%.py $(TRAINING) | build
	rm -rf build/$* build/$*.forgo
	$(PY) examples/$*.py build/$*
	$(FORGO) train build/$* -o build/$*.forgo $(TRAIN_$*) --force --save-keras build/$*.keras
TRAIN_digits := --image-size 32
TRAIN_tiles := --image-size 64 --fit crop --epochs 8

# What older Go programs made of a photograph, into docs/coming-from-a-go-predictor.md.
skew: build/tiles.forgo/forgo.json
	@$(PY) examples/skew.py build/tiles.keras build/tiles.forgo -o build/skew --page docs/coming-from-a-go-predictor.md

# Bundles that mutants alone need.
build/mutants/ready: mutants/_models.py $(TRAINING) | build
	rm -rf build/mutants
	$(PY) -m mutants._models build/mutants

conformance: build
	$(PY) conformance/generate.py
	$(PY) conformance/prepared.py
	$(PY) conformance/savedmodels.py
	$(PY) conformance/hostile.py

# The graphs that prepare pictures for models without a bundle.
preprocess: .venv/ready
	$(PY) -m forgo._preprocess predict/preprocess

clean:
	rm -rf build dist .venv src/forgo/bin
