# Every target makes what it needs: no step to remember before another.
PYTHON ?= python3
ARGS ?=
MODULE ?= --help
OPTIONS ?=
UPGRADE ?=
COST ?=

VENV := .venv/bin/python
BOOTSTRAP := @$(PYTHON) -m devstack.bootstrap
ROOMS := app core actions events http_api schemas pipeline links storage tracers lib flowlang devstack benchmarks
# mypy refuses a folder without a Python file.
TYPED = $(foreach room,$(ROOMS),$(if $(wildcard $(room)/*.py $(room)/*/*.py),$(room))) \
	$(wildcard entrypoint.py alembic/env.py)
# Much of the whole suite is waiting for processes: each worker has servers of its own.
SIDE_BY_SIDE = --numprocesses=auto --maxprocesses=4 --dist=worksteal
COMPILE = uv pip compile --quiet --universal --python-version 3.12 --no-emit-index-url \
	--generate-hashes --excludes requirements/excluded.in \
	--custom-compile-command "make requirements" $(UPGRADE)
EXTRAS = audio deepgram elasticsearch groq jq milvus mongo mysql openai s3 scitt sftp whisper

# Images set it, and each process of the tests would then compile all that it imports, each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up image test venv check-plugin check-plugins chaos soak bench fuzz new-link new-storage new-action lint types check requirements sbom audit clean

# `##@` begins a group of targets, `##` after a target is its line.
help: ## Show this list
	@sed -n -e 's/^##@ /\n/p' -e 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 16

##@ Run

demo: ## Run vCons through the whole system on real servers, show what happened, stop
	$(BOOTSTRAP) demo
	@$(VENV) -m devstack.demo $(ARGS)

up: ## Start the embedded stack and the service and keep them running (ARGS="--help" lists options)
	$(BOOTSTRAP) up
	@$(VENV) -m devstack.up $(ARGS)

image: ## Build the image with docker, podman or buildah (ARGS="--extras openai,s3 --name NAME")
	@$(PYTHON) -m devstack.supply.image $(ARGS)

venv: ## Make .venv with all that the service needs, for commands such as .venv/bin/python entrypoint.py
	$(BOOTSTRAP) demo

##@ Test

test: ## Run the whole test suite (ARGS="tests/unit -k name" for a part)
	$(BOOTSTRAP) test
	@$(VENV) -m devstack.servers.programs
	@$(VENV) -m pytest $(or $(ARGS),$(SIDE_BY_SIDE))

lint: ## Check style and formatting
	$(BOOTSTRAP) lint
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .

types: ## Check types
	$(BOOTSTRAP) types
	@$(VENV) -m mypy $(TYPED)

# The tests leave the cores idle at times; the types are checked then.
check: lint ## Check style, types and tests: what must pass before a change lands
	@$(MAKE) --no-print-directory --jobs=2 types test

chaos: ## Kill and stop processes and servers under load and account for every vCon (ARGS="--short")
	$(BOOTSTRAP) demo
	@$(VENV) -m devstack.chaos $(ARGS)

soak: ## Load one service for an hour and check that its memory does not grow (ARGS="--seconds 60")
	$(BOOTSTRAP) soak
	@$(VENV) -m devstack.soak $(ARGS)

bench: ## Measure the short form of nine benchmarks, each figure beside its aim (ten minutes; ARGS="--help")
	$(BOOTSTRAP) test
	@$(VENV) -m devstack.servers.programs
	@$(VENV) -m benchmarks $(ARGS)

fuzz: ## Send 10,000 made-up vCons to each API, then 1,000 costly ones (COST="--help" lists options)
	$(BOOTSTRAP) test
	@$(VENV) -m pytest --hypothesis-profile=long $(or $(ARGS),tests/integration/ingest/test_ingest_fuzz.py)
	@$(VENV) -m devstack.document_cost $(COST)

##@ Develop

new-link: ## Make a link with a passing test (NAME=word_count; EXTERNAL=1: a package of its own)
	$(BOOTSTRAP) scaffold
	@$(VENV) -m devstack.scaffold $(if $(EXTERNAL),external,link) "$(NAME)" $(if $(INTO),--into "$(INTO)")

new-storage: ## Make a storage with a passing test (NAME=lines)
	$(BOOTSTRAP) scaffold
	@$(VENV) -m devstack.scaffold storage "$(NAME)"

new-action: ## Make an action with a passing test (NAME=GetSubject)
	$(BOOTSTRAP) scaffold
	@$(VENV) -m devstack.scaffold action "$(NAME)"

check-plugin: ## Try a plugin by twenty rules (MODULE=my.plugin OPTIONS=file.yml; ARGS="--json")
	$(BOOTSTRAP) test
	@$(VENV) -m devstack.conformance $(MODULE) $(if $(OPTIONS),--options "$(OPTIONS)") $(ARGS)

check-plugins: ## Try every built-in plugin by twenty rules (ten minutes; ARGS="links.tag" for some)
	$(BOOTSTRAP) test
	@$(VENV) -m tests.check_plugins $(ARGS)

clean: ## Remove everything that the targets made
	@rm -rf .venv .uv .devstack .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Supply chain

requirements: ## Compile the pinned requirement files (UPGRADE=--upgrade for newer versions)
	$(BOOTSTRAP) requirements
	@PATH="$(CURDIR)/.uv/bin:$$PATH" && export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 && \
	$(COMPILE) requirements/uv.in -o requirements/uv.txt && \
	$(COMPILE) --no-deps requirements/python-vcon.in -o requirements/python-vcon.txt && \
	$(COMPILE) pyproject.toml -o requirements.txt && \
	$(COMPILE) requirements/devstack.in -c requirements.txt -o requirements-devstack.txt && \
	$(COMPILE) requirements/test.in -c requirements.txt -c requirements-devstack.txt \
		-o requirements-test.txt && \
	$(COMPILE) pyproject.toml --all-extras requirements/counterparts.in -c requirements.txt \
		-c requirements-devstack.txt -c requirements-test.txt -o requirements-counterparts.txt && \
	$(COMPILE) requirements/tools.in -c requirements.txt -c requirements-devstack.txt \
		-c requirements-test.txt -c requirements-counterparts.txt -o requirements-tools.txt && \
	for extra in $(EXTRAS); do $(COMPILE) pyproject.toml --extra $$extra \
		-c requirements-counterparts.txt -o requirements/extras/$$extra.txt \
		$$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.txt) || exit 1; done

sbom: ## Write the bill of materials, sbom.cdx.json, and check it against the requirement files
	$(BOOTSTRAP) sbom
	@$(VENV) -m devstack.supply.sbom $(ARGS)

audit: ## Look up known vulnerabilities of the pinned packages (needs a network)
	$(BOOTSTRAP) audit
	@$(VENV) -m devstack.supply.audit $(ARGS)
