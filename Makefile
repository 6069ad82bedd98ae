# The commands of this project; `make help` lists them. Everything is installed into $(VENV), on first use.

# The first Python of a supported version.
SUPPORTED = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && command -v $$python && break; done)
VENV ?= .venv
PORT ?= 8080
DATA ?= data/celeba
CONFIG ?= default
RUN ?= runs/$(CONFIG)
WEIGHTS ?= models/inpaint.safetensors
MODEL ?= models/inpaint-int8.onnx
FORMATS ?= onnx fp16 int8 mar
ARTIFACTS ?= artifacts
EXAMPLES ?= 10000
REQUESTS ?= 100000
MINUTES ?= 60
PAUSE ?= 0
ENGINE ?= onnx

# By default ONNX Runtime reports what it runs to its vendor.
export ORT_DISABLE_TELEMETRY = 1

WEB = clients/web
HAS_NODE = node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major * 100 + +minor < 2019 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null
RUN_PYTHON = $(VENV)/bin/python
SOAK = mkdir -p $(ARTIFACTS) && PYTHONPATH=.:tests:tests/contract $(RUN_PYTHON) tests/fuzz/soak.py
PIP = $(VENV)/bin/pip --disable-pip-version-check install --constraint constraints.txt
INSTALLED_FROM = pyproject.toml constraints.txt clients/python/pyproject.toml

.DELETE_ON_ERROR:
.PHONY: help dev serve page torchserve ray check test test-page fuzz attack soak lint lint-page train export requirements benchmark clean

help: ## list the commands
	@sed -n -e 's/$$(PORT)/$(PORT)/' -e 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

dev: $(VENV)/.dev ## install the development environment

serve: $(VENV)/.serve ## serve MODEL=file with ONNX Runtime, and the web page, on 127.0.0.1:$(PORT)
	@$(MAKE) --no-print-directory page || echo "The web page could not be built, so the API is served without it."
	@exec $(RUN_PYTHON) -m serving --model $(MODEL) --port $(PORT)

page: $(WEB)/build/index.html ## build the web page into clients/web/build

# The archive is built at every start, in a folder of its own, so it always matches MODEL and this code.
torchserve: $(VENV)/.torchserve ## serve MODEL=file with TorchServe, on the same contract
	@rm -rf $(ARTIFACTS)/torchserve
	@$(RUN_PYTHON) -m export mar $(MODEL) -o $(ARTIFACTS)/torchserve
	@exec $(RUN_PYTHON) -m serving.torchserve.start --mar $(ARTIFACTS)/torchserve/*.mar --port $(PORT)

ray: $(VENV)/.ray ## serve MODEL=file with Ray Serve, on the same contract; replicas scale with the load
	@exec $(RUN_PYTHON) -m serving.ray --model $(MODEL) --port $(PORT)

check: lint ## run the linters and the quick tests
	$(RUN_PYTHON) -m pytest

test: $(VENV)/.dev lint ## run every check and test; skipped tests are listed with what they need
	@if $(HAS_NODE); then $(MAKE) --no-print-directory page; fi
	$(RUN_PYTHON) -m pytest -m "" --cov --cov-report=term:skip-covered

test-page: $(VENV)/.dev page ## check and test the web page alone
	$(RUN_PYTHON) -m pytest -m browser

fuzz: $(VENV)/.dev ## send EXAMPLES=10000 damaged files and requests through each reader
	FUZZ_EXAMPLES=$(EXAMPLES) $(RUN_PYTHON) -m pytest -q -p no:logging tests/fuzz

attack: $(VENV)/.dev ## send REQUESTS=100000 hostile requests with a fixed seed to ENGINE=onnx or torchserve beside honest ones
	$(SOAK) --engine $(ENGINE) --requests $(REQUESTS) --output $(ARTIFACTS)/attack.png

soak: $(VENV)/.dev ## put ENGINE=onnx or torchserve under mixed load for MINUTES=60, and plot its memory, files and threads
	$(SOAK) --engine $(ENGINE) --minutes $(MINUTES) --hostile-pause $(PAUSE) --output $(ARTIFACTS)/soak.png

lint: $(VENV)/.dev ## check style, types and which package imports which
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	@# One by one: to mypy, all of these are the module conftest.
	for folder in training export fuzz; do $(VENV)/bin/mypy tests/$$folder/conftest.py || exit 1; done
	$(VENV)/bin/lint-imports
	@if $(HAS_NODE); then $(MAKE) --no-print-directory lint-page; \
	else echo "The web page was not linted: that needs Node.js 20.19 or newer, with npm."; fi

lint-page: $(WEB)/node_modules/.installed ## check the web page's style and types alone
	npm --prefix $(WEB) run lint
	npm --prefix $(WEB) run check

train: $(VENV)/.dev ## train with CONFIG=default, full or report on DATA=folder; an interrupted run is resumed
	$(RUN_PYTHON) -m training fit --config training/configs/$(CONFIG).yaml --data.root $(DATA) --run $(RUN) --ckpt_path last

export: $(VENV)/.dev ## export FORMATS="onnx fp16 int8 mar" from WEIGHTS=file, calibrated and compared on DATA=folder
	$(RUN_PYTHON) -m export all $(WEIGHTS) -o $(ARTIFACTS) --formats $(FORMATS) --data $(DATA)
	@echo 'Serve it with: make serve MODEL=$(ARTIFACTS)/$(basename $(notdir $(WEIGHTS)))$(if $(filter int8,$(FORMATS)),-int8).onnx'

requirements: $(VENV)/.dev $(addprefix deploy/requirements/,onnx.txt onnx-gpu.txt torchserve.txt torchserve-gpu.txt) ## pin what the images install, with hashes

benchmark: $(VENV)/.dev ## measure speed and memory on this machine
	$(RUN_PYTHON) -m benchmarks

clean: ## remove what was installed and built; runs/ stays
	rm -rf $(VENV) $(ARTIFACTS) $(WEB)/node_modules $(WEB)/build $(WEB)/.on-device $(WEB)/.svelte-kit

# Everything except torch, whose build, and so its hash, depends on the host, and on a GPU host the CUDA it comes with.
PIN = CUSTOM_COMPILE_COMMAND="make requirements" $(VENV)/bin/pip-compile --quiet --generate-hashes --strip-extras \
	--no-emit-index-url --no-emit-find-links --annotation-style line --constraint constraints.txt
CUDA = cublas cuda-nvrtc cuda-runtime cudnn-cu13 cufft curand nvjitlink
deploy/requirements/onnx.txt: EXTRAS = http,cpu
deploy/requirements/onnx-gpu.txt: EXTRAS = http,gpu
deploy/requirements/torchserve.txt: EXTRAS = ts,cpu --unsafe-package torch
deploy/requirements/torchserve-gpu.txt: EXTRAS = ts,gpu --unsafe-package torch $(addprefix --unsafe-package nvidia-,$(CUDA))
deploy/requirements/%.txt: pyproject.toml constraints.txt
	$(PIN) --extra $(EXTRAS) --output-file $@ pyproject.toml

$(WEB)/build/index.html: $(WEB)/node_modules/.installed models/inpaint.onnx models/marks/marks.onnx $(shell find $(WEB)/src $(WEB)/scripts $(WEB)/static -type f) $(wildcard $(WEB)/*.config.* $(WEB)/tsconfig.json)
	npm --prefix $(WEB) run build

$(WEB)/node_modules/.installed: $(WEB)/package-lock.json
	@$(HAS_NODE) || { echo "The web page needs Node.js 20.19 or newer, with npm."; exit 1; }
	npm --prefix $(WEB) ci --no-audit --no-fund
	@touch $@

$(VENV)/.serve: $(INSTALLED_FROM) | $(VENV)/bin/python
	@echo "Installing the server into $(VENV), which takes minutes ..."
	$(PIP) --editable '.[serve]' --editable clients/python
	@touch $@

$(VENV)/.torchserve: $(INSTALLED_FROM) | $(VENV)/bin/python
	@"$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version >/dev/null 2>&1 || \
		{ echo "TorchServe needs Java, such as OpenJDK 17: install it, or name its folder with JAVA_HOME="; exit 1; }
	@echo "Installing TorchServe and PyTorch into $(VENV), which takes many minutes ..."
	$(PIP) --editable '.[torchserve]' --editable clients/python
	@touch $@

$(VENV)/.ray: $(INSTALLED_FROM) | $(VENV)/bin/python
	@echo "Installing Ray Serve into $(VENV), which takes minutes ..."
	$(PIP) --editable '.[ray]' --editable clients/python
	@touch $@

$(VENV)/.dev: $(INSTALLED_FROM) | $(VENV)/bin/python
	@echo "Installing everything for development, with PyTorch, into $(VENV), which takes many minutes ..."
	$(PIP) --editable '.[dev]' --editable clients/python
	@touch $@ $(VENV)/.serve $(VENV)/.torchserve $(VENV)/.ray

$(VENV)/bin/python:
	@"$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || { echo "This needs Python 3.11, 3.12 or 3.13: install it, or name it with PYTHON="; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install python3-venv"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
