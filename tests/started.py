"""Programs that a test starts and asks over HTTP."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE = 20.0
"""Seconds that a program may take to start, to answer and to end."""


def run(*command: str | Path, seconds: float = 300.0, **options: object) -> str:
    """Run a program to its end; what it prints on both streams. Fails with its own words."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


def get(process: subprocess.Popen[bytes], url: str) -> str:
    """The body of an answer; asked again while nobody listens yet and the program lives."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                body: bytes = answer.read()
                return body.decode()
        except urllib.error.URLError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
