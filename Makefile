# Every target sets itself up: a bare Python 3.11 and a way to install packages are enough.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo bundle test test-slow lint format bench bench-phantom bench-training bench-tight bench-forensic bench-decisions ablations realism refusals schema growth study-page bench-web lock system-packages clean distclean

# Tests and benchmarks may import ONNX Runtime before kneeage, which sets the same.
export ORT_DISABLE_TELEMETRY := 1

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SERVING := $(VENV)/.serving
DEVELOPMENT := $(VENV)/.development
DEMO := build/demo

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(SERVING) ## a virtual subject as DICOM, read back, estimated, reported
	@rm -rf $(DEMO)
	@$(BIN)/kneeage demo -o $(DEMO)
	@echo "The command is $(BIN)/kneeage; after 'source $(BIN)/activate' it is kneeage."

# Two processes, one core each.
test: export OMP_NUM_THREADS := 1
test: $(DEVELOPMENT) system-packages ## all tests but the slow ones, without any network
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: $(DEVELOPMENT) system-packages ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(DEVELOPMENT) ## ruff, mypy, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint docker/Dockerfile

format: $(DEVELOPMENT) ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEVELOPMENT) ## measure serving; writes benchmarks/results/
	$(BIN)/python -m benchmarks.bench_serving

bench-phantom: $(DEVELOPMENT) ## measure the virtual cohort; writes benchmarks/results/
	$(BIN)/python -m benchmarks.bench_phantom

bench-training: $(DEVELOPMENT) ## measure training throughput against a plain loop; writes benchmarks/results/
	$(BIN)/python -m benchmarks.bench_training

bench-tight: $(DEVELOPMENT) ## show that virtual images carry the latents; writes benchmarks/results/; a quarter of an hour
	$(BIN)/python -m benchmarks.tight_world

bundle: $(DEVELOPMENT) ## make the bundle that ships, from seeds; hours; goes on where it stopped; takes CHANGES="key=value ..."
	test -e build/virtual-knee || $(BIN)/kneeage bundle make -o build/virtual-knee --work work/virtual-bundle $(CHANGES)
	$(BIN)/kneeage bundle tune build/virtual-knee --work work/virtual-bundle $(CHANGES)

bench-forensic: $(DEVELOPMENT) ## measure a bundle on fresh virtual subjects; writes benchmarks/results/; hours; needs SIZES="--seed N"
	$(BIN)/python -m benchmarks.forensic $(SIZES)

bench-decisions: $(DEVELOPMENT) ## what intervals and threshold rules reach in the best hands; writes benchmarks/results/
	$(BIN)/python -m benchmarks.decisions

ablations: $(DEVELOPMENT) ## train the default age model with one thing changed at a time; over an hour, goes on where it stopped
	$(BIN)/python -m benchmarks.ablations

realism: $(DEVELOPMENT) ## compare virtual knees with real ones; writes benchmarks/results/
	$(BIN)/python -m benchmarks.realism

refusals: $(DEVELOPMENT) ## examine 200 inputs that need a refusal and 200 clean ones; writes benchmarks/results/; half an hour
	$(BIN)/python -m benchmarks.refusals

growth: $(DEVELOPMENT) ## fill in docs/growth.md and draw its picture; takes a few minutes
	$(BIN)/python -m tools.write_growth

bench-web: $(DEVELOPMENT) system-packages ## time the workstation's first answer, and let 50 clients upload at once; writes benchmarks/results/
	$(BIN)/python -m benchmarks.bench_web

lock: $(DEVELOPMENT) ## pin, with their hashes, the versions that the image is built of; asks the package index
	$(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --upgrade --extra web --extra postgresql --extra pacs pyproject.toml -o docker/requirements.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --no-annotate --upgrade <(echo 'hatchling>=1.24') -o docker/requirements-build.txt

study-page: $(DEVELOPMENT) ## fill in docs/study.md from the studies in docs/studies, and draw their figures
	$(BIN)/python -m tools.write_study

schema: $(DEVELOPMENT) ## generate docs/result.schema.json from the code
	$(BIN)/python tools/write_schema.py

# The only system packages are DICOM tools, an archive, a database server, a browser and typefaces to test with; tests
# that need them are skipped with a reason where absent.
system-packages:
	@tools/install_system_packages

$(SERVING): pyproject.toml
	@echo "Installing kneeage into $(VENV): a few minutes and about 0.7 GB, only the first time"
	@[[ -x $(BIN)/python ]] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEVELOPMENT): pyproject.toml
	@echo "Installing kneeage with all its extras into $(VENV): several minutes and several GB, only the first time"
	@[[ -x $(BIN)/python ]] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[train,cohort,tensorboard,cluster,dicom,pdf,pacs,web,postgresql,dev]'
	@touch $(SERVING) $@

clean: ## remove what was built; the virtual environment stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environment too
	rm -rf $(VENV)
