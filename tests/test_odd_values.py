"""One odd value in an answer loses nothing beside itself: each is put into a whole system, and the samples compared."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from probe_exporter.config.schema import COLLECTORS
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.assembly import assemble
from probe_exporter.readings import ATTRIBUTES, Readings, read
from probe_exporter.simulator import RecordedSystem, SimulatedAnswer
from tests.readings_of import PAYLOADS, READ_AT, SYSTEMS, payload_file
from tests.scenes import scene, value

Series = dict[tuple[str, tuple[str, ...]], float]
Path = tuple[str | int, ...]

PW2 = "pw2-21.44-running"
PWPLUS = "pwplus-23.28"
ENDPOINT_OF = {family.name: family.endpoint for family in CATALOGUE}
LEANS_ON: dict[str, set[str]] = {
    "meters/solar": {"meters/site"},  # one list of devices out of two answers
    "system_status/grid_faults": {
        "system_status"
    },  # asked for where the faults are not in the system's status
    "sitemaster": {"powerwalls"},  # diagnostics lie while the site master runs
    "status": {"system_status"},  # the version tells whether the inventory names the batteries
    "powerwalls": {"status", "system_status"},  # the gateway's DIN, and the batteries of 1.x
    "tedapi/config": {"tedapi/components"},  # whose packs they are
    "tedapi/controller": {"tedapi/components"},  # sensors and fans of the units that components do not list
}
"""Whose families read another endpoint besides their own, by that other one."""

UNLIMITED = 1.7976931348623157e308


def documents_of(system: str) -> dict[str, Any]:
    return {
        endpoint: json.loads(file.read_text("utf-8"))
        for endpoint in ATTRIBUTES
        if (file := payload_file(system, endpoint)).exists()
    }


def reading(endpoint: str, document: object) -> object:
    return read(endpoint, document, READ_AT).value


def series_of(readings: Readings) -> Series:
    metrics = assemble(CATALOGUE, readings, COLLECTORS, lambda *_: True).metrics
    return {
        (metric.heading.name, labels): number
        for metric in metrics
        for labels, number in metric.values.items()
    }


def readings_of(documents: dict[str, Any]) -> Readings:
    readings = Readings()
    for endpoint, document in documents.items():
        setattr(readings, ATTRIBUTES[endpoint], reading(endpoint, document))
    return readings


def put(document: Any, path: Path, odd: object) -> Any:
    """A copy of a document with another value at one place."""
    if not path:
        return odd
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    return changed


def series_with(system: str, endpoint: str, path: Path, odd: object) -> tuple[Series, Series]:
    """All series of a system, and all with one value replaced."""
    documents = documents_of(system)
    before = series_of(readings_of(documents))
    documents[endpoint] = put(documents[endpoint], path, odd)
    return before, series_of(readings_of(documents))


def leaves(document: object, path: Path = ()) -> Iterator[Path]:
    """The place of every value that holds no other."""
    keys: Iterable[str | int] = ()
    if isinstance(document, dict):
        keys = document
    elif isinstance(document, list):
        keys = range(len(document))
    inner = list(keys)
    if not inner:
        yield path
    for key in inner:
        yield from leaves(document[key], (*path, key))  # type: ignore[index]  # a dict or a list, see above


FAULT: Path = ("grid_faults", 0, "decoded_alert")
BLOCK: Path = ("battery_blocks", 0)

ODD: list[tuple[str, str, Path, object, set[str]]] = [
    (PWPLUS, "system_status", ("solar_real_power_limit",), UNLIMITED, {"solar_real_power_limit_watts"}),
    (PWPLUS, "system_status", FAULT, 17, {"grid_fault_volts"}),
    (PWPLUS, "system_status", FAULT, [{"value": 5e9}], {"grid_fault_volts"}),
    (PWPLUS, "system_status", FAULT, "[" * 4000, {"grid_fault_volts"}),
    (PWPLUS, "system_status", (*BLOCK, "f_out"), None, {"battery_output_hz"}),
    (PWPLUS, "system_status", (*BLOCK, "i_out"), None, {"battery_output_amps"}),
    (PWPLUS, "system_status", (*BLOCK, "p_out"), "much", {"battery_output_power_watts"}),
    (
        PWPLUS,
        "system_status",
        (*BLOCK, "nominal_energy_remaining"),
        None,
        {"battery_remaining_joules", "battery_charge_ratio"},
    ),
    (
        PW2,
        "system_status",
        (*BLOCK, "nominal_full_pack_energy"),
        None,
        {"battery_full_pack_joules", "battery_charge_ratio"},
    ),
]


@pytest.mark.parametrize(("system", "endpoint", "path", "odd", "lost"), ODD)
def test_an_odd_value_loses_itself_alone(
    system: str, endpoint: str, path: Path, odd: object, lost: set[str]
) -> None:
    before, after = series_with(system, endpoint, path, odd)
    assert after.items() <= before.items(), "what is left is what it was, and nothing is new"
    assert {name for name, _ in before.keys() - after.keys()} == {f"powerwall_{name}" for name in lost}


def test_no_solar_meter_is_null_and_costs_no_other_meter() -> None:
    before, after = series_with(PW2, "meters/solar", (), None)
    lost = before.keys() - after.keys()
    assert lost
    assert all("solar" in labels or ENDPOINT_OF[name] == "meters/solar" for name, labels in lost)


def test_two_batteries_with_one_serial_lose_the_second() -> None:
    documents = documents_of(PWPLUS)
    blocks = documents["system_status"]["battery_blocks"]
    first, second = (block["PackageSerialNumber"] for block in blocks[:2])
    before, after = series_with(PWPLUS, "system_status", ("battery_blocks", 1, "PackageSerialNumber"), first)
    lost, new = before.keys() - after.keys(), after.keys() - before.keys()
    assert lost
    assert all(second in labels for _, labels in lost)
    # A part number and a version of its own make it a series of its own.
    assert {name for name, _ in new} == {"powerwall_battery_info"}
    assert all(after[series] == number for series, number in before.items() if series not in lost)


def test_a_word_that_no_release_knows_is_counted_always_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    system = RecordedSystem.from_folder(PAYLOADS / PW2)
    document = put(documents_of(PW2)["operation"], ("real_mode",), "hibernate")
    system.answers["operation"] = SimulatedAnswer(200, json.dumps(document).encode())
    with caplog.at_level(logging.INFO), scene(system) as home:
        results = [home.later(61.0) for _ in range(3)]
    for result in results:
        assert value(result, "powerwall_unknown_values", endpoint="operation") == 1.0
        assert value(result, "powerwall_unknown_values", endpoint="status") == 0.0
        assert value(result, "powerwall_operation_mode_state", state="other") == 1.0
    assert [line for line in caplog.messages if "hibernate" in line] == [
        "home: operation has the word 'hibernate', which this release does not know"
    ]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("odd", [None, {}, -1.5e300, "\x00"], ids=["null", "object", "huge", "control"])
def test_any_value_of_an_answer_may_be_odd(system: str, odd: object) -> None:
    """Wherever it stands: no other endpoint loses or changes anything."""
    documents = documents_of(system)
    readings = readings_of(documents)
    before = series_of(readings)
    for endpoint, document in documents.items():
        attribute = ATTRIBUTES[endpoint]
        for path in leaves(document):
            setattr(readings, attribute, reading(endpoint, put(document, path, odd)))
            after = series_of(readings)
            touched = {name for name, _ in dict(before.items() ^ after.items())}
            origins = {ENDPOINT_OF[name] for name in touched}
            assert origins <= {endpoint, *LEANS_ON.get(endpoint, ())}, (endpoint, path)
        setattr(readings, attribute, reading(endpoint, document))
