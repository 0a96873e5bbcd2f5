# Every target is one line; `make help` lists them.
PYTHON ?= python3
KIT := .venv/bin/kit
PYTEST := .venv/bin/python -m pytest -n auto --no-loadscope-reorder $(if $(CI),-v)
WORKERS_OPTION = $(if $(WORKERS),--workers $(WORKERS))
COLUMN_OPTION = $(if $(COLUMN),--columns=$(COLUMN))
ROWS_OPTION = $(if $(ROWS),-k '$(ROWS)')
FAULTS = .venv/bin/python -m pytest -n 0 --faults=full --evidence=docs/reference/faults.jsonl tests/stack/faults
REPORT = .venv/bin/python -m tests.stack.faults.report
export RUNTIME

.PHONY: pages scrape screenshots help venv init up down clean status test test-unit test-contract test-stack lint docs measure bench profiles faults soak calm

help: ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(KIT):
	@$(PYTHON) scripts/bootstrap.py

venv: ## make .venv from requirements.lock
	@$(PYTHON) scripts/bootstrap.py

init: venv ## write .env with generated secrets
	@$(KIT) init

up: venv ## start the stack and wait until it is healthy; WORKERS=3, RUNTIME=compose|embedded
	@$(KIT) up $(WORKERS_OPTION)

down: $(KIT) ## stop the stack, keep its data
	@$(KIT) down

clean: $(KIT) ## stop the stack and remove its data
	@$(KIT) down --delete-data --yes

status: $(KIT) ## show every part and the registered workers
	@$(KIT) status

test: venv ## run every test that this machine can run
	@$(PYTEST) tests/unit tests/contract tests/stack

test-unit: venv ## run the tests that need nothing running
	@$(PYTEST) tests/unit

test-contract: venv ## run the tests on a real PostgreSQL and Valkey
	@$(PYTEST) tests/contract

test-stack: venv ## run the tests on the whole stack
	@$(PYTEST) tests/stack

profiles: venv ## measure what each KIT_PROFILE costs, write docs/reference/profiles.md; about 15 minutes
	@.venv/bin/python -m tests.benchmarks.profiles

faults: venv ## inject every fault at full length, write docs/reference/faults.md; hours; COLUMN=stock ROWS=killed
	@$(FAULTS) $(COLUMN_OPTION) $(ROWS_OPTION) -m "not soak"; status=$$?; $(REPORT) && exit $$status

soak: venv ## twenty minutes of short tasks with a random fault each minute
	@$(FAULTS) --columns=embedded -m soak -k "not calm"; status=$$?; $(REPORT) && exit $$status

calm: venv ## half an hour of short tasks without a fault: health must raise no alarm
	@$(FAULTS) --columns=embedded -k calm; status=$$?; $(REPORT) && exit $$status

lint: venv ## check style
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

docs: venv ## write the generated reference pages
	@.venv/bin/python scripts/generate_reference.py

measure: venv ## measure start, memory and health checks in fresh checkouts
	@.venv/bin/python -m tests.benchmarks.measure

bench: venv ## measure the kit beside stock settings, write docs/reference/benchmarks.md; LOADS=a,b,c1,c2,d,e,o,p,s,j,g,f,i PAIRS=5
	@.venv/bin/python -m tests.benchmarks.bench $(if $(LOADS),--loads $(LOADS)) $(if $(PAIRS),--pairs $(PAIRS))

pages: venv ## measure the journal with ten million events, and its page; write docs/reference/journal.md, page.md; about 15 minutes
	@.venv/bin/python -m tests.benchmarks.pages && .venv/bin/python -m tests.benchmarks.paint

scrape: venv ## measure a scrape of the metrics with 100,000 tasks on record, write docs/reference/scrape.md; two minutes
	@.venv/bin/python -m tests.benchmarks.scrape

screenshots: venv ## take the pictures of the page in docs/how-to/images, on a stack of its own
	@mkdir -p docs/how-to/images && KIT_SCREENSHOTS=$(CURDIR)/docs/how-to/images .venv/bin/python -m pytest -q -n 0 tests/stack/test_console.py
