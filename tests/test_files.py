"""Files that are written whole, and what a program that was killed leaves behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

from probe_exporter.fleet import Fleet
from probe_exporter.telemetry import Telemetry
from tests import configs


def test_leftovers_of_a_killed_program_go_at_the_next_start(tmp_path: Path) -> None:
    old, young, kept = (
        tmp_path / name for name in (".login-a.json.x1y2z3", ".login-b.json.q1", "login-a.json")
    )
    for path in (old, young, kept):
        path.write_text("{}")
        os.utime(path, (time.time() - 7200.0,) * 2)
    os.utime(young)
    Fleet(configs.config(configs.gateway(), state_directory=tmp_path), Telemetry()).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, kept.name]
