"""Runs mk again and again in one process: its start takes longer than its work.

Each line of input is a command line's arguments, as JSON; each line of output is what
it printed, what it complained of, and its exit code.
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
