"""The catalogue: every family is well formed, has a value from some payload, and none without its endpoint."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from probe_exporter.config.schema import COLLECTORS
from probe_exporter.gateway.endpoints import BY_NAME
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.catalogue import Family
from probe_exporter.readings import Readings
from probe_exporter.readings.document import ATTRIBUTES
from probe_exporter.tedapi.questions import TIERS as TEDAPI_TIERS
from tests.readings_of import SYSTEMS, readings_of

GO_EXPORTER = """
info uptime_seconds commission_count charge_ratio reserve_ratio operation_mode sitemaster_running sitemaster_connected
power_supply_mode sitemaster_busy problems_detected_count full_pack_joules remaining_joules island_state battery_info
battery_full_pack_joules battery_remaining_joules battery_output_volts battery_output_amps battery_output_hz
battery_charged_joules_total battery_discharged_joules_total battery_off_grid battery_island_state
battery_wobble_detected battery_charge_power_clamped battery_backup_ready battery_pinv_state battery_pinv_grid_state
battery_opseq_state instant_power_watts instant_reactive_power_watts instant_apparent_power_watts frequency_hz
exported_joules_total imported_joules_total instant_average_volts instant_average_amps instant_total_amps
dev_instant_power_watts dev_instant_reactive_power_watts dev_instant_apparent_power_watts dev_frequency_hz
dev_exported_joules_total dev_imported_joules_total dev_instant_average_volts dev_instant_average_amps
dev_instant_total_amps network_enabled network_active network_primary network_state network_signal_strength
""".split()
"""The families of the Go exporter 0.2.0, without their prefix."""

GO_LABELS = {
    "info": ("version", "git_hash"),
    "operation_mode": ("mode",),
    "sitemaster_busy": ("reason",),
    "island_state": ("state",),
    "battery_info": ("serial", "partno", "version"),
    "battery_pinv_state": ("serial", "state"),
    "battery_pinv_grid_state": ("serial", "state"),
    "battery_opseq_state": ("serial", "state"),
    "network_state": ("type", "name", "state", "reason"),
}

ALSO_FROM = {
    "powerwall_battery_info": {"powerwalls"},
    "powerwall_battery_temperature_celsius": {"tedapi/controller"},
    "powerwall_inverter_fan_rpm": {"tedapi/controller"},
    **{family.name: {"tedapi/config"} for family in CATALOGUE if "_battery_pack_" in family.name},
    "powerwall_battery_type_info": {"system_status"},
    "powerwall_gateway_info": {"powerwalls"},
    "powerwall_site_info": {"site_info/site_name"},
    **{family.name: {"meters/solar"} for family in CATALOGUE if family.endpoint == "meters/site"},
    **{family.name: {"system_status/grid_faults"} for family in CATALOGUE if "_grid_fault" in family.name},
}
"""Families that have a second endpoint."""

TIERS = {name: endpoint.tier for name, endpoint in BY_NAME.items()} | {
    question.value: tier for question, tier in TEDAPI_TIERS.items()
}
SUBJECTS = {name: endpoint.collector for name, endpoint in BY_NAME.items()} | {
    question.value: "tedapi" for question in TEDAPI_TIERS
}
"""The tier and the collector of each endpoint."""

WITH_TEDAPI = [family for family in CATALOGUE if family.twin is not None]

OLD = {"medium": "up to 60 s old", "slow": "up to 10 min old"}

STYLE = re.compile(r"[A-Z1][^(]*\(.+: .+\).*\.")
"""A sentence, and in brackets the endpoint and the field that it comes from."""

every_family = pytest.mark.parametrize("family", CATALOGUE, ids=lambda family: family.name)


def go_labels(name: str) -> tuple[str, ...]:
    if name in GO_LABELS:
        return GO_LABELS[name]
    if name.startswith("dev_"):
        return ("category", "type", "serial")
    if name.startswith("battery_"):
        return ("serial",)
    if name.startswith("network_"):
        return ("type", "name")
    by_category = name.startswith(("instant_", "frequency_", "exported_", "imported_"))
    return ("category",) if by_category else ()


def test_the_go_exporter_has_53() -> None:
    assert len(set(GO_EXPORTER)) == 53


@pytest.mark.parametrize("name", GO_EXPORTER)
def test_every_family_of_the_go_exporter_is_there(name: str) -> None:
    (family,) = [family for family in CATALOGUE if family.name == f"powerwall_{name}"]
    assert set(family.labels) - {family.optional} == set(go_labels(name))
    assert family.kind == ("counter" if name.endswith("_total") else "gauge")


def test_names_are_unique() -> None:
    names = [family.name for family in CATALOGUE]
    assert len(names) == len(set(names))


def test_core_comes_first() -> None:
    cores = [family.collector == "core" for family in CATALOGUE]
    assert cores == sorted(cores, reverse=True)


@every_family
def test_names(family: Family) -> None:
    assert re.fullmatch(r"powerwall_[a-z][a-z0-9_]*[a-z0-9]", family.name)
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert not family.name.endswith(("_sum", "_bucket", "_created"))
    assert len(set(family.labels)) == len(family.labels)
    for label in family.labels:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", label)
        assert label not in {"le", "quantile", "job", "instance", "target", "tyoe"}


@every_family
def test_help(family: Family) -> None:
    """A help is a sentence, names the endpoint it comes from, and says how old it may be."""
    assert family.help.strip() == family.help
    assert family.help.endswith(".")
    assert "\n" not in family.help
    assert family.endpoint in family.help
    age = OLD.get(TIERS[family.endpoint])
    if age is not None and family.name not in ALSO_FROM:
        assert age in family.help.lower()


@every_family
def test_origin(family: Family) -> None:
    assert family.collector == SUBJECTS[family.endpoint]
    assert family.collector in COLLECTORS
    assert family.hardware


@every_family
def test_a_payload_shows_a_value_and_none_is_left_without_its_endpoints(family: Family) -> None:
    seen = []
    for system in SYSTEMS:
        readings = readings_of(system)
        seen += list(family.read(readings))
        for endpoint in {family.endpoint} | ALSO_FROM.get(family.name, set()):
            setattr(readings, ATTRIBUTES[endpoint], None)
        assert list(family.read(readings)) == []
    assert seen


def test_every_endpoint_has_an_attribute_and_families() -> None:
    assert set(ATTRIBUTES) == set(TIERS)
    assert set(ATTRIBUTES.values()) == {field.name for field in fields(Readings)} - {
        "by_tedapi",
        "tedapi_followers",
    }
    named = {family.endpoint for family in CATALOGUE}.union(*ALSO_FROM.values())
    assert named == set(TIERS)


@pytest.mark.parametrize("family", WITH_TEDAPI, ids=lambda family: family.name)
def test_a_twin_is_the_same_family_from_another_endpoint(family: Family) -> None:
    """Decided by the endpoint alone, and never both."""
    assert family.twin is not None
    assert (family.twin.heading, family.twin.labels) == (family.heading, family.labels)
    assert family.twin.collector == "tedapi"
    assert TIERS[family.twin.endpoint]
    assert family.twin.endpoint in family.help
    seen = []
    for system in SYSTEMS:
        readings = readings_of(system)
        assert family.source(readings) is family
        readings.by_tedapi = frozenset({family.endpoint})
        assert family.source(readings) is family.twin
        seen += list(family.twin.read(readings))
    assert seen
    assert list(family.twin.read(Readings())) == []


def test_nothing_is_said_of_a_gateway_that_said_nothing() -> None:
    assert [family.name for family in CATALOGUE if list(family.read(Readings()))] == []


@every_family
def test_help_is_a_sentence_that_names_its_source(family: Family) -> None:
    assert STYLE.fullmatch(family.help), family.help
    assert not family.help.startswith(("What ", "Whether ", "One ", "How ")), family.help
    assert any(name in family.help for name in (family.endpoint, *ALSO_FROM.get(family.name, ())))
