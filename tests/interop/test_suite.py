"""The reference's own tests, unchanged, with our package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.conftest import OURS, Side

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

# The name under which the tests import the package, and the programs that they start.
MKTL = "import sys, mktl_daemon\nsys.modules['mktl'] = mktl_daemon\n"
PROGRAM = "import sys\nfrom mktl_daemon.cli.{0} import main\nsys.exit(main())\n"


def test_the_references_own_tests_pass(network, reference, tmp_path):
    """Failed tests are repeated, because some of them measure milliseconds."""
    checkout = Path(reference.path[0]).parent
    tests = shutil.copytree(checkout / "tests", tmp_path / "tests")
    (tmp_path / "sbin").mkdir()
    for name in ("mkd", "mkregistryd", "mkbrokerd"):
        program = "mkregistryd" if name == "mkbrokerd" else name
        (tmp_path / "sbin" / name).write_text(PROGRAM.format(program))
    # Their fixtures replace PYTHONPATH by the folder of the tests.
    path = [str(tests), str(Path(__file__).parents[2]), *OURS.path]
    (tests / "mktl.py").write_text(MKTL)
    (tests / "sitecustomize.py").write_text(f"import sys\nsys.path[:0] = {path}\n")
    environment = network.environment(OURS, "suite")
    environment["PYTHONPATH"] = os.pathsep.join(path)
    # Their fixtures start both and wait one second, which is too short on a busy
    # machine.
    network.registry(OURS, home="suite")
    network.start(
        Side("ours", OURS.python, OURS.programs, path),
        *("mkd", "-m", "unitdaemon", "unittest", "unittest"),
        home="suite",
    )
    network.until(OURS, "get", "unittest.readonly", home="asker", says="13")

    def run(*names):
        done = subprocess.run(
            [*network.entry, sys.executable, "-m", "pytest", "-rA", "-W", "ignore",
             "-p", "no:cacheprovider", "--rootdir", str(tests), "-c", "/dev/null",
             *names],
            cwd=tests,
            env=environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )  # fmt: skip
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        return failed, done.stdout + done.stderr

    failed, printed = run()
    assert len(re.findall(r"^PASSED", printed, re.MULTILINE)) >= 15, printed
    for _ in range(10):
        if not failed:
            break
        failed, printed = run(*failed)
    assert not failed, printed + network.logs()
