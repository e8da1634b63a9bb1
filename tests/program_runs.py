"""The program run inside the test process, as far as a user can see it."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from probe_exporter.cli import cli
from probe_exporter.cli.endings import run


@dataclass(frozen=True)
class Ended:
    """What a run left behind."""

    code: int
    stdout: str
    stderr: str


def run_program(*arguments: str) -> Ended:
    """Run ``probe_exporter`` with these arguments."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            run(cli, arguments)
        except SystemExit as ending:
            code = ending.code
    assert isinstance(code, int)
    assert "Traceback" not in errors.getvalue()
    return Ended(code, output.getvalue(), errors.getvalue())
