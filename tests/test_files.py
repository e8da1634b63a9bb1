"""Files that are written whole, and what a program that was killed leaves behind."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from probe_exporter import files
from probe_exporter.files import Saver, write_now
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


def test_of_many_writes_the_last_one_stays(tmp_path: Path) -> None:
    """Whatever the threads do: a record of logins must not go back in time."""
    saver, paths = Saver(), [tmp_path / "folder" / f"{number}.json" for number in range(20)]
    told: list[OSError | None] = []
    for turn in range(50):
        for path in paths:
            saver.write(path, f"{turn}".encode(), told.append)
    assert saver.close(10.0)
    assert {path.read_text() for path in paths} == {"49"}
    assert told == [None] * 1000, "everybody who waits hears of it"
    saver.write(paths[0], b"after the end", told.append)
    assert saver.close(10.0)
    assert paths[0].read_text() == "after the end"


def test_a_younger_write_waits_for_the_older_one_of_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def slow(path: Path, data: bytes, done: files.Done) -> None:
        if data == b"old":
            begun.set()
            assert goes_on.wait(10.0)
        write_now(path, data, done)

    monkeypatch.setattr(files, "write_now", slow)
    saver, path, other = Saver(), tmp_path / "a.json", tmp_path / "b.json"
    saver.write(path, b"old", lambda _: None)
    assert begun.wait(10.0)
    saver.write(path, b"young", lambda _: None)
    with ThreadPoolExecutor(1) as waits:
        written = threading.Event()
        saver.write(other, b"of another gateway", lambda _: written.set())
        assert written.wait(10.0), "which no other path waits for"
        assert not saver.close(0.01), "one is still to be written"
        assert not path.exists()
        goes_on.set()
        assert waits.submit(saver.close, 10.0).result()
    assert path.read_bytes() == b"young"


def test_whoever_waits_hears_of_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    told: list[OSError | None] = []
    saver = Saver()
    saver.write(tmp_path / "file" / "a.json", b"{}", told.append)
    assert saver.close(10.0)
    (error,) = told
    assert isinstance(error, FileExistsError)
