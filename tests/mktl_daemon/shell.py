"""Runs mk many times in one process, because its start takes longer than its work.

Each line of input has the arguments of a command line, as JSON. Each line of output has
its output, its errors and its exit code.
"""

import contextlib
import io
import json
import sys

from mktl_daemon.cli import mk

for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = mk.main(json.loads(line))
    print(json.dumps([out.getvalue(), err.getvalue(), code]), flush=True)  # noqa: T201
