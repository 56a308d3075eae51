# Needs Python 3.11 and make; everything else goes into .venv, once.
PYTHON  ?= python3.11
PROFILE ?= demo
DATA    ?=
JOBS    ?=
ONLY    ?=
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/ready
TESTED  := $(VENV)/ready-for-tests
PRINTED := $(VENV)/ready-for-print

.PHONY: help book look rehearsal reference gpu lab pdf test test-all quick check serve clean
.DEFAULT_GOAL := help

help:
	@echo "make book    train a profile's runs and build the book into _build/html"
	@echo "             (PROFILE=demo, or PROFILE=released DATA=folder of the released sample)"
	@echo "make look    a first look: a simulated movie from film to report, and the committed results"
	@echo "make rehearsal  the paper's record at full size, simulated: from download to Table 5"
	@echo "make reference  the kept results anew from this commit, and what changed (hours;"
	@echo "             DATA=folder of the released sample, ONLY='names' of workflow/refresh.py --list)"
	@echo "make gpu     what the networks take on this machine's GPU, and whether it computes what a"
	@echo "             processor does (under eight minutes; DATA=folder of the released sample)"
	@echo "make lab     put a Python for the browser beside the built book, for its exercises (needs npm)"
	@echo "make pdf     print the built book into book.pdf of the site (needs chromium)"
	@echo "make test    run the tests"
	@echo "make test-all  and those for each night and before a release"
	@echo "make quick   run those that take a moment, while you work"
	@echo "make check   look at the code's style"
	@echo "make serve   show the built book at http://localhost:8000"
	@echo "make clean   remove runs, pages and the built book; data and .venv stay"

# uv where it can be had, else pip; the same lock for both.
$(READY): requirements.lock pyproject.toml workflow/environment.py
	$(PYTHON) workflow/environment.py base book
	touch $@

$(TESTED): $(READY)
	$(PYTHON) workflow/environment.py exchange formats pdf test
	touch $@

$(PRINTED): $(READY)
	$(PYTHON) workflow/environment.py pdf
	touch $@

book: $(READY)
	$(BIN)/rbc book --profile $(PROFILE) $(if $(DATA),--data $(DATA)) $(if $(JOBS),--jobs $(JOBS))

look: $(READY)
	$(BIN)/python workflow/look.py

rehearsal: $(TESTED)
	$(BIN)/python workflow/rehearsal.py

reference: $(READY)
	$(BIN)/python workflow/refresh.py $(ONLY) $(if $(DATA),--data $(DATA))

gpu: $(READY)
	$(BIN)/python workflow/gpu.py $(if $(DATA),--data $(DATA))

lab: $(READY)
	$(BIN)/python book/lab.py

pdf: $(PRINTED)
	$(BIN)/python book/pdf.py

test: $(TESTED)
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not nightly" --durations=20 tests

test-all: $(TESTED)
	$(BIN)/python -m pytest -n 2 --dist loadscope --durations=20 tests --nbval notebooks/paper.ipynb

quick: $(TESTED)
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow and not nightly" tests

check: $(TESTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

serve: $(READY)
	$(BIN)/python -m http.server 8000 --bind localhost --directory _build/html

clean:
	rm -rf results book/pages book/files _build .snakemake
