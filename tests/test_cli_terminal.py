"""What the program does on a terminal, and only there; and the styles of the catalogue."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from probe_exporter.metrics import reference
from tests.program_runs import run_program

ROOT = Path(__file__).parent.parent


@pytest.fixture
def dead_fleet(tmp_path: Path) -> Path:
    """A configuration of four gateways, none of which is there."""
    file = tmp_path / "probe_exporter.yaml"
    entries = "\n".join(
        f"  gone-{number}: {{gateway_address: '127.0.0.1:{number}'}}" for number in range(1, 5)
    )
    file.write_text(f"gateways:\n{entries}\n")
    return file


def on_a_terminal(*arguments: str) -> tuple[str, str]:
    """Standard output of the program, and what its terminal (standard error) showed."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "probe_exporter", *arguments],
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"},
        text=True,
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # how Linux says that the other side of a terminal is closed
                break
            if not data:
                break
            shown += data
        assert process.stdout is not None
        output = process.stdout.read()
    os.close(master)
    return output, shown.decode()


@pytest.mark.parametrize("command", ["probe", "fetchcert"])
def test_many_targets_have_a_progress_bar(dead_fleet: Path, command: str) -> None:
    output, shown = on_a_terminal(f"--config.file={dead_fleet}", command, "--all")
    assert "100%" in shown
    assert "%" not in output
    assert "4 gateways: 0 " in shown


def test_elsewhere_there_is_no_progress_bar(dead_fleet: Path) -> None:
    ended = run_program(f"--config.file={dead_fleet}", "probe", "--all", "--format", "table")
    assert ended.code == 1
    assert "100%" not in ended.stderr
    assert "4 gateways: 0 answered, 4 failed (connect 4)" in ended.stderr


def test_the_catalogue_in_every_style() -> None:
    assert run_program("metrics").stdout == reference.text()
    assert run_program("metrics", "--format", "markdown").stdout == reference.markdown()
    families = json.loads(run_program("metrics", "--format", "json").stdout)
    assert {family["name"] for family in families} >= {"probe_success", "powerwall_instant_power_watts"}
    assert len(reference.text().splitlines()) >= len(families)


def test_a_person_gets_a_table_and_a_pipe_the_text(dead_fleet: Path) -> None:
    command = [sys.executable, "-m", "probe_exporter", f"--config.file={dead_fleet}", "probe", "gone-1"]
    master, slave = pty.openpty()
    subprocess.run(
        command,
        stdout=slave,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(slave)
    assert os.read(master, 65536).decode().split()[:2] == ["TARGET", "STATE"]
    os.close(master)
    assert "probe_success 0.0" in run_program(*command[3:]).stdout
