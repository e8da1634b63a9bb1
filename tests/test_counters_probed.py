"""The counter guard as users meet it: what `/probe` and the program show, what the log says, what a reload forgets."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from probe_exporter.secrets import Secret
from probe_exporter.simulator import RecordedSystem, SimulatedAnswer, SimulatedGateway
from tests import configs
from tests.counter_courses import COURSES, ZEROS, House, Moment
from tests.counter_player import Exporter, ScriptedMeters, play
from tests.program_runs import run_program

PAYLOADS = Path(__file__).parent / "payloads"
TRUE_ZEROS = (("load", "exported"), ("solar", "imported"))


class Probed:
    """A house, the gateway that tells of it, and the exporter before that."""

    def __init__(self, gateway: SimulatedGateway, meters: ScriptedMeters, folder: Path | None) -> None:
        self.house = House(1.0)
        self.gateway = gateway
        self.exporter = Exporter(gateway.address, folder)
        self._meters = meters

    def probe(self, moment: Moment) -> str:
        """The text of a probe a minute later."""
        self.exporter.clock.turn(60.0)
        self._meters.moment = moment
        return self.exporter.probe()


@contextmanager
def probed(folder: Path | None = None) -> Iterator[Probed]:
    meters = ScriptedMeters()
    with SimulatedGateway(meters, password=configs.PASSWORD) as gateway:
        one = Probed(gateway, meters, folder)
        try:
            yield one
        finally:
            one.exporter.close()


def shown(text: str) -> int:
    """How many counters a probe shows."""
    return len(re.findall(r"^powerwall_(?:im|ex)ported_joules_total\{", text, re.MULTILINE))


def held_back(text: str) -> int:
    (count,) = re.findall(r"^powerwall_readings_held_back (\S+)", text, re.MULTILINE)
    return int(float(count))


def test_a_gateway_that_is_up_shows_its_zeros_at_once() -> None:
    """Although its uptime is told later in the same probe than its counters."""
    with probed() as one:
        text = one.probe(Moment(one.house.tell(), uptime=700.0))
    assert (shown(text), held_back(text)) == (8, 0)
    assert 'powerwall_exported_joules_total{category="load"} 0.0' in text


def test_a_model_without_uptime_shows_its_zeros_after_ten_minutes() -> None:
    with probed() as one:
        told = one.house.tell(zeros=[("solar", "imported")])
        texts = [one.probe(Moment(told, uptime=None)) for _ in range(12)]
    assert [held_back(text) for text in texts] == [2] * 10 + [0] * 2
    assert [shown(text) for text in texts] == [6] * 10 + [8] * 2


def test_the_program_shows_them_at_once(tmp_path: Path) -> None:
    """`probe_exporter probe` has no second reading to wait for."""
    file = tmp_path / "home.yaml"
    with SimulatedGateway(RecordedSystem.from_folder(PAYLOADS / "pw3-26"), password="secret") as gateway:
        file.write_text(
            f"state_directory: {tmp_path / 'state'}\n"
            f"gateways: {{home: {{gateway_address: '{gateway.address}', login_password: secret}}}}\n"
        )
        file.chmod(0o600)
        ended = run_program(f"--config.file={file}", "probe")
    assert ended.code == 0, ended.stderr
    for category, way in TRUE_ZEROS:
        assert re.search(
            rf'^powerwall_{way}_joules_total\{{category="{category}"\}} 0', ended.stdout, re.MULTILINE
        )
    assert (shown(ended.stdout), held_back(ended.stdout)) == (8, 0)
    assert not list((tmp_path / "state").glob("counters-*"))


def test_each_hold_begins_and_ends_with_one_line(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO, "probe_exporter")
    play(COURSES["battery_zeros"], tmp_path)
    begins = [message for message in caplog.messages if "is held back" in message]
    ends = [message for message in caplog.messages if "is shown again" in message]
    assert sorted(one.partition(" is ")[0] for one in begins) == [
        f"home: powerwall_{way}_joules_total of {category}"
        for way in ("exported", "imported")
        for category in ("battery", "load")
    ]
    assert sorted(one.partition(" is ")[0] for one in ends) == sorted(
        one.partition(" is ")[0] for one in begins
    )


def test_what_is_known_of_counters_outlives_another_password(tmp_path: Path) -> None:
    with probed(tmp_path) as one:
        one.probe(Moment(one.house.tell()))
        one.exporter.reload(
            one.gateway.address, login_email="somebody@example.com", login_password=Secret("other")
        )
        one.exporter.reload(one.gateway.address)
        text = one.probe(Moment(one.house.tell(zeros=ZEROS), uptime=9e5))
    assert held_back(text) == 8


def test_a_gateway_at_another_address_is_another_one() -> None:
    with probed() as one:
        one.probe(Moment(one.house.tell()))
        one.exporter.reload("127.0.0.1:9", one.gateway.address)
        text = one.probe(Moment(one.house.tell(zeros=ZEROS), uptime=9e5))
    assert held_back(text) == 0


def test_holds_outlive_the_process(tmp_path: Path) -> None:
    with probed(tmp_path) as one:
        one.probe(Moment(one.house.tell()))
        one.probe(Moment(one.house.tell(zeros=ZEROS), uptime=9e5))
        one.exporter.restart(0.0)
        text = one.probe(Moment(one.house.tell(zeros=ZEROS), uptime=9e5))
    assert held_back(text) == 8
    (kept,) = tmp_path.glob("counters-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600


class Emptied:
    """A recorded system whose energies are all 0 at the endpoint ``emptied``."""

    def __init__(self, system: RecordedSystem) -> None:
        self._system = system
        self.public = system.public
        self.emptied = ""

    def answer(self, endpoint: str) -> SimulatedAnswer:
        """The recorded answer, or the same without energy."""
        answer = self._system.answer(endpoint)
        if endpoint != self.emptied:
            return answer
        return replace(answer, body=re.sub(rb'("energy_\w+": *)[0-9.]+', rb"\g<1>0", answer.body))


@pytest.mark.parametrize("endpoint", ["meters/aggregates", "meters/site", "meters/solar", "system_status"])
def test_no_endpoint_shows_a_false_zero(endpoint: str) -> None:
    """Two endpoints may tell of one family: the meters of the grid and those of the panels."""
    system = Emptied(RecordedSystem.from_folder(PAYLOADS / "pw2-21.44-running"))
    with SimulatedGateway(system, password=configs.PASSWORD) as gateway:
        exporter = Exporter(gateway.address, None)
        before = exporter.probe()
        system.emptied = endpoint
        exporter.clock.turn(15.0)
        after = exporter.probe()
        exporter.close()
    counters = re.compile(r"^(powerwall_\w+_joules_total\{.*\}) (\S+)$", re.MULTILINE)
    stood, stands = dict(counters.findall(before)), dict(counters.findall(after))
    gone = stood.keys() - stands.keys()
    assert held_back(before) == 0
    assert gone
    assert held_back(after) >= len(gone)
    assert {name: stood[name] for name in stands} == stands
