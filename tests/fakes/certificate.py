"""A self-signed certificate, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def write_certificate(folder: Path, name: str, alternative: str) -> None:
    """Write the files `crt` and `key` for *name* and *alternative* (IP: or DNS:).

    The certificate is valid for 900 days, because the clocks of some tests are ahead.
    """
    if shutil.which("openssl") is None:
        pytest.skip("no openssl binary (Debian: apt-get install openssl)")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -batch -days 900 -keyout key"
        f" -out crt -subj /CN={name} -addext subjectAltName={alternative}"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
