# The commands of this project; `make help` lists them. Everything is installed into $(VENV), on first use.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
PORT ?= 8080
DATA ?= data/celeba
RUN ?= runs/default
WEIGHTS ?= models/inpaint.safetensors
ARTIFACTS ?= artifacts

# ONNX Runtime would report what it runs to its maker.
export ORT_DISABLE_TELEMETRY = 1

RUN_PYTHON = $(VENV)/bin/python
PIP = $(VENV)/bin/pip --disable-pip-version-check --quiet install --constraint constraints.txt
INSTALLED_FROM = pyproject.toml constraints.txt clients/python/pyproject.toml

.DELETE_ON_ERROR:
.PHONY: help serve torchserve test lint train export requirements benchmark clean

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

serve: $(VENV)/.serve ## serve the default model with ONNX Runtime on 127.0.0.1:$(PORT)
	@exec $(RUN_PYTHON) -m serving --port $(PORT)

torchserve: $(VENV)/.torchserve $(ARTIFACTS)/model-store/inpaint.mar ## serve it with TorchServe, on the same contract
	@exec $(RUN_PYTHON) -m serving.torchserve.start --mar $(ARTIFACTS)/model-store/inpaint.mar --port $(PORT)

test: $(VENV)/.dev lint ## run every check and test
	@command -v java >/dev/null || { echo "TorchServe needs Java 17: install openjdk-17-jre-headless, then run make test again"; exit 1; }
	$(RUN_PYTHON) -m pytest

lint: $(VENV)/.dev ## check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy --config-file clients/python/pyproject.toml clients/python/src

train: $(VENV)/.dev ## train the default network on DATA=folder; a killed run goes on where it stopped
	$(RUN_PYTHON) -m training fit --config training/configs/default.yaml --data.root $(DATA) --run $(RUN) --ckpt_path last

export: $(VENV)/.dev ## make every artifact from WEIGHTS=file, calibrated and compared on DATA=folder
	$(RUN_PYTHON) -m export onnx $(WEIGHTS) -o $(ARTIFACTS)/inpaint.onnx
	$(RUN_PYTHON) -m export onnx $(WEIGHTS) -o $(ARTIFACTS)/inpaint-fp16.onnx --fp16
	$(RUN_PYTHON) -m export int8 $(ARTIFACTS)/inpaint.onnx -o $(ARTIFACTS)/inpaint-int8.onnx --data $(DATA)
	$(RUN_PYTHON) -m export parity $(WEIGHTS) $(ARTIFACTS)/*.onnx --data $(DATA) -o $(ARTIFACTS)
	$(RUN_PYTHON) -m export mar $(ARTIFACTS)/inpaint.onnx -o $(ARTIFACTS)/model-store

requirements: $(VENV)/.dev $(addprefix containers/requirements/,onnx.txt onnx-gpu.txt torchserve.txt torchserve-gpu.txt) ## pin what the images install, with hashes

benchmark: $(VENV)/.dev ## measure speed and memory on this machine
	$(RUN_PYTHON) -m benchmarks

clean: ## remove what was installed and built; runs/ stays
	rm -rf $(VENV) $(ARTIFACTS)

$(ARTIFACTS)/model-store/inpaint.mar: models/inpaint.onnx export/mar.py $(wildcard serving/*.py serving/torchserve/*) | $(VENV)/.torchserve
	$(RUN_PYTHON) -m export mar models/inpaint.onnx -o $(ARTIFACTS)/model-store

# All but torch, whose build, and so whose hash, is the host's choice, and on a GPU host the CUDA that it comes with.
PIN = CUSTOM_COMPILE_COMMAND="make requirements" $(VENV)/bin/pip-compile --quiet --generate-hashes --strip-extras \
	--no-emit-index-url --no-emit-find-links --annotation-style line --constraint constraints.txt
CUDA = cublas cuda-nvrtc cuda-runtime cudnn-cu13 cufft curand nvjitlink
containers/requirements/onnx.txt: EXTRAS = http,cpu
containers/requirements/onnx-gpu.txt: EXTRAS = http,gpu
containers/requirements/torchserve.txt: EXTRAS = ts,cpu --unsafe-package torch
containers/requirements/torchserve-gpu.txt: EXTRAS = ts,gpu --unsafe-package torch $(addprefix --unsafe-package nvidia-,$(CUDA))
containers/requirements/%.txt: pyproject.toml constraints.txt
	$(PIN) --extra $(EXTRAS) --output-file $@ pyproject.toml

$(VENV)/.serve: $(INSTALLED_FROM) | $(VENV)/bin/python
	$(PIP) --editable '.[serve]'
	@touch $@

$(VENV)/.torchserve: $(INSTALLED_FROM) | $(VENV)/bin/python
	$(PIP) --editable '.[torchserve]'
	@touch $@

$(VENV)/.dev: $(INSTALLED_FROM) | $(VENV)/bin/python
	$(PIP) --editable '.[dev]' --editable clients/python
	@touch $@ $(VENV)/.serve $(VENV)/.torchserve

$(VENV)/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "This needs Python 3.11 or newer: install it, or name it with PYTHON="; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
