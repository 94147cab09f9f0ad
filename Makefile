# Every target sets up what it needs. A fresh machine needs Python 3.11+ and Go 1.26+.
.PHONY: help demo check cross dist test mutants mutations fuzz bench bench-go bench-pictures bench-pure overload floods soak history asan refusals mutation build skew lint audit sbom notices conformance resizers preprocess clean
.DELETE_ON_ERROR:

VENV := $(CURDIR)/.venv
PY := $(VENV)/bin/python
FORGO := $(VENV)/bin/forgo
GO := scripts/go.sh
TOOL := go tool -modfile=go.tool.mod
# The Go tests find ONNX Runtime in the environment's wheel.
export VIRTUAL_ENV := $(VENV)
# Without the files of its byte code, each process that imports TensorFlow compiles 3,600 modules first: 5 s.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make demo       train on real digits, verify, predict and serve: about two minutes"
	@echo "make check      lint, types and unit tests: the quick loop"
	@echo "make test       everything, mutants included"
	@echo "make mutants    plant faults and check that each is refused"
	@echo "make mutations  change one byte in 100,000 pictures; Python and Go must decode alike"
	@echo "make fuzz       every fuzz target for FUZZTIME (5m), one after another"
	@echo "make bench      benchmark forgo beside older stacks, other servers and the bare engine, into docs/benchmarks: 40 minutes"
	@echo "make bench-pictures  a JPEG decoded and resized, Pillow beside forgo, into docs/benchmarks"
	@echo "make overload   send ten times the load that a ResNet50 can answer"
	@echo "make soak       swap a model under load for ten minutes"
	@echo "make floods     send requests that are small on the wire and large in memory"
	@echo "make history    a random history of copies, damage, signals and errors, SECONDS (3600) from SEED (random)"
	@echo "make refusals   send each refused request 100 times and measure what is left behind"
	@echo "make mutation   change one thing in the code at a time and see whether a test notices"
	@echo "make audit      known vulnerabilities in forgo's dependencies"
	@echo "make sbom       forgo's dependencies, as CycloneDX"
	@echo "make notices    the licences of what the binary contains, into NOTICES"
	@echo "make dist       wheels for Linux, macOS and Windows, the source distribution, checksums, into dist/"
	@echo "make build      the Go binary, which the Python command hands verbs to"

.venv/ready: pyproject.toml uv.lock scripts/setup.sh
	@scripts/setup.sh

build: .venv/ready
	@$(GO) build -o src/forgo/bin/forgo ./cmd/forgo

# PyTorch's environment, which its tests and mutants make where it is missing; 4 GB.
.PHONY: torch
torch: build
	@ln -sfn "$$($(PY) -c 'from tests.test_pytorch import HERE, environment; print(environment(HERE, forgo=True).parent.parent)')" build/torch

demo: build
	@$(PY) examples/demo.py

lint: .venv/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(TOOL) actionlint -shellcheck= -pyflakes=
	@out=$$($(TOOL) gofumpt -l .); test -z "$$out" || { echo "not formatted by gofumpt: $$out"; exit 1; }
	$(TOOL) staticcheck -tags "$$($(GO) tags)" ./...

# Whole builds for other systems; they are compiled here, and run nowhere.
CROSS := linux/amd64 linux/arm64 darwin/arm64 windows/amd64
cross:
	@for target in $(CROSS); do echo "build for $$target" && \
	  CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} FORGO_GO_TAGS= go build -buildvcs=false ./client/... ./cmd/... ./predict/... ./serve/... || exit 1; done
	@for system in darwin windows; do echo "vet for $$system" && CGO_ENABLED=0 GOOS=$$system FORGO_GO_TAGS= go vet ./... || exit 1; done

dist: build
	@$(PY) scripts/dist.py

check: lint build cross
	$(GO) test -short ./...
	$(PY) -m pytest -q -m "not slow"

# Under the race detector tests do less of what one goroutine does; without it, and without C, each runs whole.
test: lint build
	$(MAKE) cross CROSS="darwin/arm64 windows/amd64"
	$(PY) scripts/gotest.py -race ./...
	$(PY) scripts/without_c.py $(GO) vet ./...
	$(PY) scripts/without_c.py $(PY) scripts/gotest.py -vet=off ./...
	$(PY) scripts/pytests.py
	$(MAKE) mutants

mutants: build build/tiles.forgo/forgo.json build/mutants/ready
	@$(PY) -m mutants

# BENCH_SECONDS sets the length of a turn, BENCH_ROUNDS the number of rounds; see python -m bench --help.
bench: build
	@$(PY) -m bench

# OVERLOAD_SECONDS and SOAK_SECONDS set their lengths; see python -m stress.soak --help.
overload: build
	@$(PY) -m stress.overload

floods: build
	@$(PY) -m stress.floods -o docs/benchmarks/floods.md

soak: build
	@$(PY) -m stress.soak

# A history of SECONDS from SEED (0 picks a random seed and prints it), against a server with the race detector. A
# history that fails stays in build/stress/history.
SECONDS ?= 3600
SEED ?= 0
history: build
	@$(GO) build -race -buildmode=exe -o build/stress/forgo-race ./cmd/forgo
	@$(GO) run ./stress/history -binary build/stress/forgo-race -isolating src/forgo/bin/forgo -seconds $(SECONDS) -seed $(SEED)

# The address sanitizer over the packages that are C, or hand memory to C. Engines throw C++ exceptions, which the
# sanitizer must know before it starts. Tests of memory are left out: it keeps what was freed.
ASAN_LIBRARIES = $(shell cc -print-file-name=libasan.so):$(shell cc -print-file-name=libstdc++.so.6)
asan: .venv/ready
	ASAN_OPTIONS=detect_leaks=0 $(GO) test -asan -count=1 -timeout 30m ./predict/pixels/...
	ASAN_OPTIONS=detect_leaks=0:alloc_dealloc_mismatch=0 $(GO) test -asan -count=1 -timeout 30m -skip '^TestMemory' \
		-exec "env LD_PRELOAD=$(ASAN_LIBRARIES)" ./predict/onnx ./predict/tensorflow

# Sends each refused request a hundred times and writes what they leave behind into docs/refusals.md.
refusals: .venv/ready
	FORGO_UPDATE_REFUSALS=1 $(GO) test -count=1 -run TestRefusedRequestsLeaveNothing ./serve

# Changes one thing in the code at a time; a test should notice each change. Draws MUTANTS changes by SEED and writes
# docs/mutation.md.
MUTANTS ?= 60
mutation: build
	@$(PY) -m scripts.mutation --sample $(MUTANTS) --seed $(or $(filter-out 0,$(SEED)),1)

# A JPEG decoded and resized: Pillow and NumPy beside forgo's Go library, in turns.
bench-pictures: .venv/ready
	@$(PY) -m bench.pictures

bench-go: .venv/ready
	$(GO) test -run '^$$' -bench '^Benchmark(Request|Run)$$' -benchmem ./predict ./serve

# The engine in pure Go against ONNX Runtime, in turns: how many times as fast it is. On a quiet machine.
bench-pure: .venv/ready
	$(GO) test -run '^$$' -bench . ./predict/pure

# Changes one byte in each of MUTATIONS pictures; Python and both Go decoders must answer alike. PICTURES chooses files
# by pattern: `make mutations MUTATIONS=1000000 PICTURES='*.jpg'` compares the JPEG decoder with libjpeg-turbo.
PICTURES ?= *
MUTATIONS ?= 100000
mutations: .venv/ready
	FORGO_MUTATIONS=$(MUTATIONS) FORGO_SEED=$(or $(filter-out 0,$(SEED)),1) FORGO_PICTURES='$(PICTURES)' $(GO) test -run TestMutatedPicturesDecodeAsInPython -timeout 60m -v ./predict/pixels

fuzz: .venv/ready
	@scripts/fuzz.sh

# Runs both audits even when the first finds something.
audit: .venv/ready
	@scripts/audit.sh go; go=$$?; scripts/audit.sh python && exit $$go

# The licences of what the binary contains, after a change of go.mod.
notices:
	@$(PY) scripts/notices.py

sbom: build
	@$(PY) scripts/sbom.py build/sbom

# The trained bundles that tests and mutants share.
TRAINING := $(wildcard src/forgo/*.py src/forgo/training/*.py src/forgo/exporting/*.py)
build/%.forgo/forgo.json: examples/%.py $(TRAINING) | build
	rm -rf build/$* build/$*.forgo
	$(PY) examples/$*.py build/$*
	$(FORGO) train build/$* -o build/$*.forgo $(TRAIN_$*) --force --save-keras build/$*.keras
TRAIN_digits := --image-size 32
TRAIN_tiles := --image-size 64 --fit crop --epochs 8

# Measures what older Go programs made of a photograph, into docs/coming-from-a-go-predictor.md.
skew: build/tiles.forgo/forgo.json
	@$(PY) examples/skew.py build/tiles.keras build/tiles.forgo -o build/skew --page docs/coming-from-a-go-predictor.md

# The bundles that only mutants need.
build/mutants/ready: mutants/_models.py $(TRAINING) | build
	rm -rf build/mutants
	$(PY) -m mutants._models build/mutants

conformance: build
	$(PY) conformance/generate.py
	$(PY) conformance/prepared.py
	$(PY) conformance/savedmodels.py
	$(PY) conformance/hostile.py
	$(PY) conformance/metrics.py

# How far forgo's filters are from OpenCV's and torchvision's, into docs/pictures.md.
resizers: .venv/ready
	PYTHONPATH=. $(PY) -m conformance.resizers.measure

# The graphs that preprocess pictures for models without a bundle.
preprocess: .venv/ready
	$(PY) -m forgo._preprocess predict/preprocess

clean:
	rm -rf build dist .venv src/forgo/bin
