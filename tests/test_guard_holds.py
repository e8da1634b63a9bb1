"""Holds of the counter guard over a restart: what is saved, what is believed of it, and what a clock does to it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe_exporter.metrics.guard import CounterGuard, HoldStore, Key
from probe_exporter.metrics.guard.counter_guard import SAVE_INTERVAL
from tests.clocks import MachineClock

IMPORTED = "powerwall_imported_joules_total"
EXPORTED = "powerwall_exported_joules_total"
SITE: Key = (IMPORTED, ("site",))
SITE_OUT: Key = (EXPORTED, ("site",))
KWH = 3.6e6
MWH = 1000 * KWH
WEEK = 7 * 86400.0
UP = 9e5
ADDRESSES = ("192.0.2.1",)


class Exporter:
    """A guard as it is made at a start."""

    def __init__(
        self, folder: Path, machine: MachineClock, name: str = "home", addresses: tuple[str, ...] = ADDRESSES
    ) -> None:
        self.machine = machine
        self.guard = CounterGuard(name, HoldStore(folder, machine, name, addresses))

    def held(self, *values: float, uptime: float | None = UP) -> list[bool]:
        """If imported, and exported where a second value is given, are held back now."""
        readings = dict(zip((SITE, SITE_OUT), values, strict=False))
        found = self.guard.judge(readings, self.machine.monotonic(), uptime)
        return [key in found for key in readings]


@pytest.fixture
def machine() -> MachineClock:
    return MachineClock()


def file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_a_zero_stays_held_back_over_a_restart(tmp_path: Path, machine: MachineClock) -> None:
    exporter = Exporter(tmp_path, machine)
    exporter.held(MWH)
    assert exporter.held(0.0) == [True]
    machine.turn(60.0)
    machine.restart()
    exporter = Exporter(tmp_path, machine)
    assert exporter.held(0.0) == [True]
    assert exporter.held(MWH + 1) == [False]
    machine.turn(60.0)
    machine.restart()
    # The hold has ended, so nothing is known of this counter.
    assert Exporter(tmp_path, machine).held(KWH) == [False]


def test_without_a_store_the_value_after_a_restart_is_believed(machine: MachineClock) -> None:
    guard = CounterGuard()
    guard.judge({SITE: MWH}, 0.0, UP)
    assert guard.judge({SITE: KWH}, 15.0, UP) == {SITE}
    assert CounterGuard().judge({SITE: KWH}, 15.0, UP) == frozenset()


def test_only_begins_and_ends_are_written(tmp_path: Path, machine: MachineClock) -> None:
    exporter = Exporter(tmp_path / "state", machine)
    for _ in range(5):
        exporter.held(MWH)
        machine.turn(60.0)
    assert not (tmp_path / "state").exists()
    exporter.held(0.0)
    path = file(tmp_path / "state")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.name.startswith("counters-")
    inode = path.stat().st_ino
    for _ in range(5):
        machine.turn(60.0)
        exporter.held(0.0)
    assert path.stat().st_ino == inode
    machine.turn(60.0)
    exporter.held(MWH + 1)
    assert json.loads(path.read_bytes())["holds"] == []


def test_a_counter_that_flaps_does_not_wear_a_card_out(tmp_path: Path, machine: MachineClock) -> None:
    exporter = Exporter(tmp_path, machine)
    inodes = set()
    for number in range(100):
        exporter.held(MWH + number - 50 * (number % 2))
        machine.turn(3.0)
        inodes.update(path.stat().st_mtime_ns for path in tmp_path.iterdir())
    assert len(inodes) <= 300.0 / SAVE_INTERVAL + 1


def test_what_is_not_written_yet_is_written_at_the_end(tmp_path: Path, machine: MachineClock) -> None:
    exporter = Exporter(tmp_path, machine)
    exporter.held(MWH, MWH)
    exporter.held(0.0, MWH)
    machine.turn(1.0)
    exporter.held(0.0, 0.0)
    exporter.guard.close()
    machine.turn(5.0)
    machine.restart()
    assert Exporter(tmp_path, machine).held(0.0, 0.0) == [True, True]


@pytest.mark.parametrize("wrong", [0.0, -3 * 3600.0, 3 * 3600.0])
def test_a_clock_that_is_set_late_makes_no_zero_true(
    tmp_path: Path, machine: MachineClock, wrong: float
) -> None:
    exporter = Exporter(tmp_path, machine)
    exporter.held(MWH)
    exporter.held(0.0)
    machine.turn(60.0)
    machine.restart(wrong)
    exporter = Exporter(tmp_path, machine)
    for second in range(300):
        machine.wrong = wrong if second < 100 else 0.0
        machine.turn(1.0)
        assert exporter.held(0.0, uptime=None) == [True]
    assert exporter.held(MWH + 1, uptime=None) == [False]


def test_a_first_zero_never_sees_the_wall_clock(tmp_path: Path, machine: MachineClock) -> None:
    """Power is back; the gateway boots, and three hours pass on the wall clock within a moment."""
    exporter = Exporter(tmp_path, machine)
    assert exporter.held(0.0, uptime=None) == [True]
    machine.wrong = 3 * 3600.0
    machine.turn(15.0)
    assert exporter.held(0.0, uptime=None) == [True]
    assert exporter.held(5 * MWH, uptime=None) == [False]


def test_a_new_meter_is_believed_once_although_the_exporter_was_started_anew(
    tmp_path: Path, machine: MachineClock
) -> None:
    exporter = Exporter(tmp_path, machine)
    exporter.held(5 * MWH, 12 * KWH)
    assert exporter.held(KWH, 0.0) == [True, True]
    machine.turn(300.0)
    machine.turn(60.0)
    machine.restart()
    exporter, course = Exporter(tmp_path, machine), []
    for minute in range(25):
        course.append(exporter.held(KWH + 1e5 * minute, 0.0))
        machine.turn(60.0)
    assert course[:10] == [[True, True]] * 10
    assert course[-1] == [False, False]


def test_the_other_direction_of_a_new_meter_is_remembered_too(tmp_path: Path, machine: MachineClock) -> None:
    exporter = Exporter(tmp_path, machine)
    exporter.held(5 * MWH, 12 * KWH)
    for minute in range(11):
        held = exporter.held(KWH + 1e5 * minute, 0.0)
        machine.turn(60.0)
    assert held == [False, True]
    machine.turn(60.0)
    machine.restart()
    exporter = Exporter(tmp_path, machine)
    assert exporter.held(KWH + 2e6, 0.0) == [False, False]


@pytest.mark.parametrize(("seconds", "expected"), [(6 * 86400.0, True), (8 * 86400.0, False)])
def test_seven_days_pass_while_the_exporter_is_off(
    tmp_path: Path, machine: MachineClock, seconds: float, expected: bool
) -> None:
    exporter = Exporter(tmp_path, machine)
    exporter.held(9 * MWH)
    exporter.held(4 * MWH)
    machine.turn(seconds)
    machine.restart()
    # Not as if it could be a new meter that counted meanwhile: those are believed after ten minutes only.
    assert Exporter(tmp_path, machine).held(4 * MWH) == [expected]


@pytest.mark.parametrize(("name", "addresses"), [("cabin", ADDRESSES), ("home", ("192.0.2.2",))])
def test_holds_belong_to_name_and_address(
    tmp_path: Path, machine: MachineClock, name: str, addresses: tuple[str, ...]
) -> None:
    exporter = Exporter(tmp_path, machine)
    exporter.held(MWH)
    exporter.held(KWH)
    assert Exporter(tmp_path, machine, name, addresses).held(KWH) == [False]


# Damage


def held_once(folder: Path, machine: MachineClock) -> Path:
    """A file with one hold."""
    exporter = Exporter(folder, machine)
    exporter.held(MWH)
    exporter.held(0.0)
    return file(folder)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        '{"format": 1}',
        '{"format": 1, "addresses": ["192.0.2.1"], "holds": [7]}',
        "[" * 9999,
    ],
)
def test_a_damaged_file_is_as_good_as_none(
    tmp_path: Path, machine: MachineClock, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    path = held_once(tmp_path, machine)
    path.write_text(content)
    caplog.clear()
    assert Exporter(tmp_path, machine).held(KWH) == [False]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "the counters held back are forgotten" in caplog.text


def test_a_file_of_another_release_is_as_good_as_none(
    tmp_path: Path, machine: MachineClock, caplog: pytest.LogCaptureFixture
) -> None:
    path = held_once(tmp_path, machine)
    path.write_text('{"format": 2, "holds": "in another form"}')
    caplog.clear()
    assert Exporter(tmp_path, machine).held(KWH) == [False]
    assert not caplog.records


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("family", "labels", "doubt", "began", "told", "shown", "shown_at", "opposite_began_anew")


@settings(deadline=None, max_examples=60)
@given(field=st.sampled_from(FIELDS), value=JSON, readings=st.lists(st.floats(-1e12, 1e12), max_size=3))
def test_whatever_stands_in_a_field_nothing_is_raised(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: object, readings: list[float]
) -> None:
    machine, folder = MachineClock(), tmp_path_factory.mktemp("state")
    path = held_once(folder, machine)
    document = json.loads(path.read_bytes())
    document["holds"][0][field] = value
    path.write_text(json.dumps(document))
    exporter = Exporter(folder, machine)
    for reading in readings:
        exporter.held(reading)
        machine.turn(60.0)
    exporter.guard.close()
    Exporter(folder, machine)


@settings(deadline=None, max_examples=60)
@given(document=JSON)
def test_whatever_json_the_file_is_nothing_is_raised(
    tmp_path_factory: pytest.TempPathFactory, document: object
) -> None:
    machine, folder = MachineClock(), tmp_path_factory.mktemp("state")
    held_once(folder, machine).write_text(json.dumps(document))
    Exporter(folder, machine).held(MWH)


def test_a_folder_that_cannot_be_written_costs_a_line_in_the_log(
    tmp_path: Path, machine: MachineClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file")
    exporter = Exporter(tmp_path / "state", machine)
    exporter.held(MWH)
    assert exporter.held(0.0) == [True]
    assert "cannot be saved" in caplog.text
