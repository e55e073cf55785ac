"""Runs tests with planted faults, each in a child of a process that has them ready.

A fault in a function replaces its code in the child. A fault in code that runs at an
import, or in a default value, takes longer, because everything is imported again.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.mutants.cores import Core
from tests.mutants.planting import Planted

ROOT = Path(__file__).resolve().parents[2]
WALL = 200.0  # seconds for all tests of one fault, on a busy machine
OPTIONS = (
    *("-x", "-q", "--no-header", "--tb=no", "--timeout=0"),
    *("-p", "no:randomly", "-p", "no:cacheprovider"),
    # Hypothesis is imported here already.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


class Reach(NamedTuple):
    """The results of a run without a fault."""

    seconds: float
    took: dict[str, float]  # by test
    by_function: dict[tuple[str, str], set[str]]  # from path and name to tests
    early: set[tuple[str, str]]  # functions that are called when modules are imported
    # those of other modules, which each child would import again
    modules: tuple[str, ...]

    def tests(self, planted: Planted) -> list[str]:
        """Return the tests that call a function, the fastest first."""
        name = planted.path, planted.function
        if not planted.function or name in self.early:
            tests: Iterable[str] = self.took
        else:
            tests = self.by_function.get(name, ())
        return sorted(tests, key=self.took.get)

    @property
    def limit(self) -> float:
        """Return the limit of processor time for the tests of one fault, in seconds."""
        return 20.0 + 10.0 * self.seconds


class Quick:
    """Chooses the tests. Hypothesis neither shrinks nor remembers."""

    def __init__(self, tests: Iterable[str] | None = None) -> None:
        self._order = None if tests is None else {t: n for n, t in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        quick = settings(
            settings(),
            phases=(Phase.explicit, Phase.generate),
            database=None,
            # A slow machine must not look like a fault.
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        settings.register_profile("mutants", quick)
        settings.load_profile("mutants")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # A virtual printer takes seconds for each of its tests.
        items[:] = [item for item in items if "bench" not in _fixtures(item)]
        order = self._order
        if order is not None:
            chosen = [item for item in items if item.nodeid in order]
            items[:] = sorted(chosen, key=lambda item: order[item.nodeid])


def _fixtures(item: pytest.Item) -> list[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else []


class Watch:
    """Notes which test calls which function of the files."""

    def __init__(self, files: tuple[str, ...]) -> None:
        self._paths = {str(ROOT / path): path for path in files}
        self._known: dict[CodeType, tuple[str, str] | None] = {}
        # before the first test: functions that modules call when they are imported
        self._now = self.early = set[tuple[str, str]]()
        self.took: dict[str, float] = {}
        self.by_function: dict[tuple[str, str], set[str]] = {}
        sys.setprofile(self._call)
        threading.setprofile(self._call)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._now = set()
        started = time.perf_counter()
        yield
        self.took[item.nodeid] = time.perf_counter() - started
        for each in self._now:
            self.by_function.setdefault(each, set()).add(item.nodeid)

    def pytest_sessionfinish(self) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _call(self, frame: Any, event: str, argument: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code not in self._known:
            path = self._paths.get(os.path.realpath(code.co_filename))
            name = code.co_qualname.partition(".<locals>")[0]
            self._known[code] = (path, name) if path else None
        known = self._known[code]
        if known:
            self._now.add(known)


def measure(core: Core) -> Reach:
    """Run all tests of *core* without a fault.

    Raises RuntimeError if one of them fails.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        note = Path(folder) / "reach"

        def run() -> int:
            watch = Watch(core.files)
            started = time.process_time()
            code = pytest.main(_arguments(core.tests), plugins=[Quick(), watch])
            took = time.process_time() - started
            theirs = tuple(name for name in sys.modules if not _is_ours(name))
            reach = Reach(took, watch.took, watch.by_function, watch.early, theirs)
            note.write_bytes(pickle.dumps(reach))
            return int(code)

        if _in_child(run, None) != 0:
            raise RuntimeError(f"without a fault the tests fail: {core.tests}")
        reach: Reach = pickle.loads(note.read_bytes())
    return reach


def tried(
    core: Core, reach: Reach, trials: list[Planted], report: Callable[[int, bool], None]
) -> None:
    """Report to *heard* for each trial whether a test fails with its fault.

    A trial that takes too long has failed.
    """
    for name in reach.modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    late = [n for n, each in enumerate(trials) if _needs_import(each, reach)]
    for number in late:
        tests = reach.tests(trials[number])
        report(number, bool(tests) and _imports_and_notices(trials[number], tests))
    others = {n: each for n, each in enumerate(trials) if n not in late}
    if others and _in_child(lambda: _run_all(core, Ready(reach, others, report)), None):
        raise RuntimeError("the tests could not be run")


def _run_all(core: Core, ready: Ready) -> int:
    return int(pytest.main(_arguments(core.tests), plugins=[Quick(), ready]))


class Ready:
    """Stops before the first test, and runs the tests of each fault in a child."""

    def __init__(
        self,
        reach: Reach,
        trials: dict[int, Planted],
        report: Callable[[int, bool], None],
    ) -> None:
        self._reach = reach
        self._trials = trials
        self._report = report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        for number, planted in self._trials.items():
            tests = [items[test] for test in self._reach.tests(planted)]
            run = self._run(planted, tests)
            self._report(number, bool(tests) and _in_child(run, self._reach.limit) != 0)
        return True

    def _run(self, planted: Planted, tests: list[pytest.Item]) -> Callable[[], int]:
        def run() -> int:
            if planted.function:
                _replace(planted)
            _take_from(planted)  # for a test that imports the file under another name
            for item, following in zip(tests, [*tests[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if item.session.testsfailed:
                    return 1
            return 0

        return run


def _imports_and_notices(planted: Planted, tests: list[str]) -> bool:
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))

    def run() -> int:
        _take_from(planted)
        return int(pytest.main(_arguments(files), plugins=[Quick(tests)]))

    return _in_child(run, WALL) != 0


def _needs_import(planted: Planted, reach: Reach) -> bool:
    if (planted.path, planted.function) in reach.early:
        return True
    if not planted.function:
        return False
    sound = compile((ROOT / planted.path).read_text("utf-8"), planted.path, "exec")
    before, after = (
        _code(each, planted.function) for each in (sound, _module(planted))
    )
    # The code is the same, so the fault is in a default value.
    return before == after or before.co_freevars != after.co_freevars


def _module(planted: Planted) -> CodeType:
    return compile(planted.source, planted.path, "exec", dont_inherit=True)


def _code(module: CodeType, function: str) -> CodeType:
    codes = [module]
    while codes:
        code = codes.pop()
        if code.co_qualname == function:
            return code
        codes += [each for each in code.co_consts if isinstance(each, CodeType)]
    raise LookupError(function)


def _replace(planted: Planted) -> None:
    """Give the function the code with the fault, for all who have it already."""
    code, path = _code(_module(planted), planted.function), str(ROOT / planted.path)
    for module in list(sys.modules.values()):
        if os.path.realpath(getattr(module, "__file__", None) or "") == path:
            value: Any = module
            for name in planted.function.split("."):
                value = vars(value)[name]
            function: FunctionType = getattr(value, "__func__", value)
            function.__code__ = code


def _take_from(planted: Planted) -> None:
    """Make all later imports of the file import the fault."""
    path, own = str(ROOT / planted.path), SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> Any:
        if os.path.realpath(self.path) == path:
            return _module(planted)
        return own(self, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def _arguments(tests: Iterable[str]) -> list[str]:
    return [*OPTIONS, f"--basetemp={_folder(os.getpid())}", *tests]


def _folder(pid: int) -> str:
    return f"{tempfile.gettempdir()}/mutants-{pid}"


def _is_ours(name: str) -> bool:
    top = name.partition(".")[0]
    return (ROOT / top).exists() or top.startswith(("test", "conftest", "_pytest"))


def _in_child(run: Callable[[], int], processor: float | None) -> int:
    """Return the exit status of a child that does *run*, or -9 if it does not end."""
    pid = os.fork()
    if pid == 0:
        _be_child(run, processor)
    ended = os.pidfd_open(pid)
    wall = None if processor is None else WALL
    try:
        if not select.select([ended], [], [], wall)[0]:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(ended)
        shutil.rmtree(_folder(pid), ignore_errors=True)
    return os.waitstatus_to_exitcode(status)


def _be_child(run: Callable[[], int], processor: float | None) -> None:
    status = 99
    try:
        if processor is not None:
            most = int(processor)
            resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        if not os.environ.get("MUTANTS_SHOW"):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        status = run()
    except BaseException:  # noqa: BLE001 - the child ends with it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)
