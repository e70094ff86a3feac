# make demo and make test do all the set-up; everything goes into .venv.
VENV := .venv
BIN := $(VENV)/bin
export VENV
# What starts Ray wants all cores for itself; all else shares them.
RAY_TESTS := tests/orchestrate tests/end_to_end
OTHER_TESTS := -n logical --max-worker-restart 0 $(RAY_TESTS:%=--ignore=%)

.PHONY: setup demo test test-all lint bench report costs clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt packaging/setup.sh
	./packaging/setup.sh

demo: setup  ## a small study on generated images; prints the paths of its report and of a picture
	$(BIN)/raysweep run activation --protocol demo --seeds 3 --variants tanh,elu,prelu --store demo/results --data demo/data
	@echo
	$(BIN)/raysweep report activation --store demo/results --out demo/report
	@ls demo/report/activation-*-gains.png

test: setup lint  ## lint, types, import rules, tests
	$(BIN)/python -m pytest $(RAY_TESTS) --cov --cov-report= --cov-fail-under=0
	$(BIN)/python -m pytest $(OTHER_TESTS) --cov --cov-append --cov-report=term:skip-covered

test-all: setup lint  ## also the end-to-end checks of minutes
	status=0; \
	$(BIN)/python -m pytest $(RAY_TESTS) -m "long or not long" || status=1; \
	$(BIN)/python -m pytest $(OTHER_TESTS) -m "long or not long" || status=1; \
	exit $$status

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## measured claims; results in benchmarks/results
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script; done

report: setup  ## write RESULTS.md and its figures again, from the committed results
	$(BIN)/python -m raysweep.analysis.page.results_page docs/study/store RESULTS.md docs/study

costs: setup  ## compute the committed costs of shipped variants again
	$(BIN)/python -c "from raysweep.cost import write_goldens; from raysweep.planning import shipped_recipes; write_goldens(shipped_recipes())"

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
