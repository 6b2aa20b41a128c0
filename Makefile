# One verb a task; `make` alone lists them. Only make and Python 3.11, 3.12 or 3.13 need to be installed.
#
#   make test PYTHON=python3.12      choose the Python that .venv is made with
#   make test ARGS="-k philox -x"    pass more words on to the program behind a verb

ARGS ?=
RUN := .venv/bin/python
BASE := .venv/.base-stamp
DEV := .venv/.dev-stamp

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test coverage check lint types layers imports sizes docs format bench results learning kills size clean

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The folder is the demo's own; the command line refuses to write a second run into it.
demo: $(BASE)  ## train a network on the handwritten digits, into runs/digits-demo (made anew)
	rm -rf runs/digits-demo
	.venv/bin/clearprop train digits --out runs/digits-demo $(ARGS)

# One numeric thread a process: xdist already uses every core.
test: export OPENBLAS_NUM_THREADS := 1
test: export OMP_NUM_THREADS := 1
test: $(DEV)  ## run the tests, in random order, on all cores
	$(RUN) -m pytest -n auto $(ARGS)

# It takes half as long again as the tests alone.
coverage: export OPENBLAS_NUM_THREADS := 1
coverage: export OMP_NUM_THREADS := 1
coverage: $(DEV)  ## run the tests, and print which lines none of them ran
	$(RUN) -m pytest -n auto --cov --cov-report=term $(ARGS)

check: lint types layers imports sizes docs  ## lint, format, types, import layers, sizes, and the documentation executed

lint: $(DEV)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(DEV)
	$(RUN) -m mypy --strict

# Its cache does not notice that a module which another one imports has appeared or gone.
layers: $(DEV)
	.venv/bin/lint-imports --no-cache

imports: $(DEV)
	$(RUN) tools/check_imports.py

sizes: $(DEV)
	$(RUN) tools/size.py --check

docs: $(DEV)  ## execute README.md and docs/
	$(RUN) -m pytest -n 0 -p no:randomly tests/docs $(ARGS)

format: $(DEV)  ## mend what ruff can mend by itself
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# That index has PyTorch without its gigabytes for graphics cards. A peer that cannot be installed is left out.
bench: $(DEV)  ## measure speed beside PyTorch, JAX and scikit-learn, into docs/benchmarks.md
	@$(RUN) -c 'import jax, torch' 2>/dev/null || \
	  $(RUN) -m pip install --quiet --extra-index-url https://download.pytorch.org/whl/cpu -e '.[bench]' || \
	  echo "some peers cannot be installed: they are left out" >&2
	$(RUN) bench/run.py $(ARGS)

results: $(DEV)  ## measure accuracy beside scikit-learn, into docs/results.md
	$(RUN) bench/accuracy.py $(ARGS)

learning: $(DEV)  ## measure accuracy and time beside PyTorch on images and text, into docs/learning.md; hours
	@$(RUN) -c 'import torch' 2>/dev/null || \
	  $(RUN) -m pip install --quiet --extra-index-url https://download.pytorch.org/whl/cpu -e '.[bench]'
	$(RUN) bench/learning.py $(ARGS)

kills: $(DEV)  ## kill training at random moments, resume it, compare the bits
	$(RUN) tools/kill_and_resume.py $(ARGS)

size: $(BASE)  ## print lines and functions by folder
	@$(RUN) tools/size.py

clean:  ## remove .venv and every cache (runs/ stays)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage dist build
	find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment -------------------------------------------------------------------------------------------
# An installation removes .venv/.whole and the stamps first and writes them last. So where .whole is missing, the last
# one was interrupted, and .venv is made anew; half an installation is never taken for a whole one.

$(BASE): pyproject.toml
	@$(call install,.)
	@touch $@

$(DEV): pyproject.toml
	@$(call install,.[dev])
	@touch $(BASE) $@

define install
set -e; \
if [ ! -e .venv/.whole ] || ! $(RUN) -c '' 2>/dev/null; then \
  $(find_python); \
  echo "making .venv with $$($$python --version)"; \
  $$python -m venv --clear .venv; \
fi; \
rm -f .venv/.whole $(BASE) $(DEV); \
echo "installing '$(1)' into .venv"; \
$(RUN) -m pip install --quiet -e '$(1)'; \
touch .venv/.whole
endef

define find_python
python=; \
for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
  if $$candidate -c '$(suitable)' >/dev/null 2>&1; then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo "clearprop needs Python 3.11, 3.12 or 3.13 with its venv module; none was found (tried:" \
    "$(or $(PYTHON),python3 python3.13 python3.12 python3.11))." >&2; \
  echo "Install one (on Debian or Ubuntu, python3-venv too), or name it: make PYTHON=/path/to/python3.12" >&2; \
  exit 1; \
fi
endef

suitable := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
