"""What owners reported of their gateways, in public bug reports: each played as a gateway, and read by the program.

The payloads are our own, in the form of those that were reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from probe_exporter.simulator import RecordedSystem, SimulatedGateway
from probe_exporter.simulator.system import SimulatedAnswer
from probe_exporter.web.pages import gateway_page
from tests import configs
from tests.program_runs import run_program
from tests.scenes import scene

Labels = frozenset[tuple[str, str]]
Series = dict[tuple[str, Labels], float]

NEVER = "0001-01-01T00:00:00Z"
TIME = "2025-02-06T10:12:34.5-08:00"
SUMS = {"solar": {"instant_power": 0, "energy_imported": 0, "energy_exported": 1}}


class Player:
    """A gateway that gives documents, and the program that asks it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, documents: Mapping[str, object], *arguments: str) -> str:
        """What the program prints when it is run beside a gateway with these documents."""
        answers = {
            endpoint: SimulatedAnswer(200, json.dumps(document).encode())
            for endpoint, document in {"meters/aggregates": SUMS, **documents}.items()
        }
        with SimulatedGateway(RecordedSystem(answers), password=configs.PASSWORD) as gateway:
            file = self._folder / "probe_exporter.yaml"
            entry = {"gateway_address": gateway.address, "login_password": configs.PASSWORD}
            file.write_text(json.dumps({"gateways": {"home": entry}}))
            file.chmod(0o600)
            ended = run_program(f"--config.file={file}", *arguments)
        assert ended.code == 0, ended.stderr
        return ended.stdout

    def probe(self, documents: Mapping[str, object]) -> Series:
        return series(self.run(documents, "probe"))

    def record_and_replay(self, documents: Mapping[str, object]) -> Series:
        record = self._folder / "record.json"
        self.run(documents, "record", "home", str(record), "--force")
        return series(run_program("replay", str(record)).stdout)


def series(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: Series, name: str, **labels: str) -> float | None:
    """The value of the one sample with exactly these labels."""
    return found.get((f"powerwall_{name}", frozenset(labels.items())))


def labelled(found: Series, name: str) -> Iterator[dict[str, str]]:
    for family, labels in found:
        if family == f"powerwall_{name}":
            yield dict(labels)


def states(found: Series, name: str) -> list[str]:
    """The states of a state set that are 1."""
    return [
        dict(labels)["state"]
        for (family, labels), value in found.items()
        if family == f"powerwall_{name}" and value == 1.0
    ]


def assert_every_word_is_known(found: Series) -> None:
    unknown = {labels: value for (name, labels), value in found.items() if name == "powerwall_unknown_values"}
    assert unknown
    assert not any(unknown.values()), unknown


@pytest.fixture
def player(tmp_path: Path) -> Player:
    return Player(tmp_path)


# Words


@pytest.mark.parametrize(
    "word",
    [
        "PINV_GridForming",
        "PINV_Standby",
        "PINV_Init",
        "PINV_SupportDC",
        "PINV_ACStageFault",
        "PINV_DCStageFault",
    ],
)
def test_every_word_of_the_battery_inverter_has_its_name(player: Player, word: str) -> None:
    block = {
        "PackageSerialNumber": "TG1250440001X1",
        "pinv_state": word,
        "pinv_grid_state": "Grid_Uncompliant",
    }
    found = player.probe({"system_status": {"battery_blocks": [block]}})
    assert states(found, "battery_pinv_status") == [word]
    assert_every_word_is_known(found)


def solar(state: str, connection: str, switch: str, self_test: str) -> dict[str, Any]:
    return {
        "pvac_status": {
            "state": state,
            "disabled": False,
            "grid_state": "Grid_Compliant",
            "inv_state": connection,
        },
        "pvs_status": {"state": switch, "disabled": False, "self_test_state": self_test},
    }


@pytest.mark.parametrize(
    ("state", "connection", "switch", "self_test"),
    [
        ("PVAC_Active", "INV_Grid_Connected", "PVS_ActiveToIdleNotice", "PVS_SelfTestOff"),
        ("PVAC_Standby", "", "PVS_Standby", "PVS_SelfTestOff"),
        ("PVAC_Standby", "", "PVS_Idle", "PVS_SelfTestOff"),
        ("PVAC_Init", "", "PVS_Init", "PVS_SelfTestOff"),
        ("PVAC_Init", "", "PVS_SelfTesting", "PVS_SelfTestMci"),
        ("PVAC_Init", "", "PVS_SelfTestMci", "PVS_SelfTestMci"),
        ("PVAC_Faulted", "INV_Faulted", "PVS_Fault", "PVS_SelfTestOff"),
        ("PVAC_State_SNA", "", "PVS_State_SNA", "PVS_SelfTestOff"),
        ("PVAC_Standby", "", "PVS_Off", "PVS_SelfTestOff"),
    ],
)
def test_a_night_of_the_solar_inverter_is_no_fault(
    player: Player, state: str, connection: str, switch: str, self_test: str
) -> None:
    found = player.probe({"solar_powerwall": solar(state, connection, switch, self_test)})
    assert states(found, "pv_inverter_state") == [state]
    assert states(found, "pv_inverter_inverter_state") == ([connection] if connection else [])
    assert states(found, "pvs_state") == [switch]
    assert states(found, "pvs_self_test_state") == [self_test]
    assert_every_word_is_known(found)


def test_each_problem_has_its_name_and_a_record_keeps_it(player: Player) -> None:
    names = ["MultipleControllers", "Miswired12v", "TooManySolarRGM", "Miswired12v"]
    documents = {"troubleshooting/problems": {"problems": [*names, "", {"id": 4}]}}
    for found in (player.probe(documents), player.record_and_replay(documents)):
        assert of(found, "problems_detected_count") == 6.0
        assert sorted(labels["problem"] for labels in labelled(found, "problem")) == sorted(set(names))


@pytest.mark.parametrize("mode", ["battery_ok", "pv_only", "never"])
def test_direct_mode_and_what_may_be_sold(player: Player, mode: str) -> None:
    documents = {
        "operation": {"real_mode": "direct", "backup_reserve_percent": 24},
        "site_info": {"net_meter_mode": mode, "nominal_system_energy_kWh": 13.5},
    }
    for found in (player.probe(documents), player.record_and_replay(documents)):
        assert of(found, "operation_mode", mode="direct") == 1.0
        assert states(found, "operation_mode_state") == ["direct"]
        assert states(found, "site_net_meter_mode") == [mode]
    assert_every_word_is_known(player.probe(documents))


# Values that are there


def fault(alert: str, moment: int, *details: dict[str, Any]) -> dict[str, Any]:
    return {
        "timestamp": moment,
        "alert_name": alert,
        "alert_is_fault": False,
        "decoded_alert": json.dumps([{"name": "PINV_alertID", "value": alert}, *details]),
        "ecu_type": "TEPINV",
        "ecu_package_part_number": "1081100-22-U",
        "ecu_package_serial_number": "CN317044K0X2",
    }


def test_what_a_grid_fault_measured(player: Player) -> None:
    over, under = "PINV_a007_vfCheckOverFrequency", "PINV_a004_vfCheckUnderVoltage"
    faults = [
        fault(over, 1569976192352, {"name": "PINV_a007_frequency", "value": 62.531, "units": "Hz"}),
        fault(over, 1569976999000, {"name": "PINV_a007_frequency", "value": 62.75, "units": "Hz"}),
        fault(under, 1569976193000, {"name": "PINV_a004_uv_amplitude", "value": 91.5, "units": "Vrms"}),
        fault(
            "PINV_a008_vfCheckRocof", 1569976194000, {"name": "PINV_a008_x", "value": 3, "units": "parsec"}
        ),
    ]
    for found in (
        player.probe({"system_status/grid_faults": faults}),
        player.probe({"system_status": {"grid_faults": faults, "max_charge_power": 5}}),
    ):
        key = {"ecu_type": "TEPINV", "serial": "CN317044K0X2"}
        assert of(found, "grid_fault_hertz", alert=over, **key) == 62.75, "that of the newest"
        assert of(found, "grid_fault_volts", alert=under, **key) == 91.5
        assert len(list(labelled(found, "grid_fault_hertz"))) == 1
        unknown = [value for (name, _), value in found.items() if name == "powerwall_unknown_values"]
        assert sum(unknown) == 1.0, "a unit that nobody knows is told"


def test_limit_and_set_point_of_the_solar_inverter(player: Player) -> None:
    document = solar("PVAC_Active", "INV_Grid_Connected", "PVS_Active", "PVS_SelfTestMci")
    found = player.probe(
        {"solar_powerwall": {**document, "pv_power_limit": 7600, "power_status_setpoint": "on"}}
    )
    assert of(found, "pv_power_limit_watts", inverter="1") == 7600.0
    assert states(found, "pv_power_setpoint") == ["on"]
    assert of(found, "pvs_disabled", inverter="1") == 0.0


def test_an_old_gateway_tells_its_batteries_and_its_number_in_the_inventory(player: Player) -> None:
    inventory = {
        "powerwalls": [
            {"PackagePartNumber": "1092170-03-J", "PackageSerialNumber": "T18B0001122", "type": "acpw"}
        ],
        "gateway_din": "1118431-00-F--T18B0003344",
    }
    status = {"version": "1.50.1 c58c2df3", "device_type": "hec", "sync_type": "v1"}
    found = player.probe({"status": status, "powerwalls": inventory})
    assert of(found, "battery_info", serial="T18B0001122", partno="1092170-03-J", version="") == 1.0
    (gateway,) = labelled(found, "gateway_info")
    assert (gateway["part_number"], gateway["serial"]) == ("1118431-00-F", "T18B0003344")
    newer = player.probe({"status": {**status, "version": "21.44 223a56cd"}, "powerwalls": inventory})
    assert not list(labelled(newer, "battery_info")), "its system_status will say more in a moment"


def test_a_version_with_a_line_break_keeps_its_parts(player: Player) -> None:
    documents = {"status": {"version": "1.15.0\n", "git_hash": "0a1b2c3d4e5f\n"}}
    for found in (player.probe(documents), player.record_and_replay(documents)):
        assert of(found, "info", version="1.15.0", git_hash="0a1b2c3d4e5f") == 1.0
        parts = [of(found, "firmware_version_part", part=part) for part in ("major", "minor", "patch")]
        assert parts == [1.0, 15.0, 0.0]


@pytest.mark.parametrize("version", ["22.26.1-foxtrot 1a2b3c4d", "23.4.2-1", "23.44.3-msa 9064fc6a", "1.40"])
def test_a_record_keeps_every_form_of_a_version(player: Player, version: str) -> None:
    (info,) = labelled(player.record_and_replay({"status": {"version": version}}), "info")
    assert info["version"] == version


# Meters


def transformer(number: int, power: float) -> dict[str, Any]:
    """One current transformer of a Neurio, which lists each as a meter of its own."""
    return {
        "id": number,
        "location": "solar",
        "type": "neurio_w2_tcp",
        "cts": [place == number for place in range(1, 5)],
        "inverted": [False] * 4,
        "connection": {
            "short_id": "neurio-7",
            "device_serial": "OBB3250000071",
            "neurio_connected": True,
        },
        "Cached_readings": {
            "last_communication_time": TIME,
            "instant_power": power,
            "energy_exported": 10.5 + number,
            "energy_imported": 5_000_000.5 + number,
        },
    }


def assert_meters_join_one_to_one(found: Series) -> None:
    """Each sample of a meter finds exactly one ``powerwall_dev_info``."""
    identities = [set(labels.items()) for labels in labelled(found, "dev_info")]
    for name, labels in found:
        if name.startswith("powerwall_dev_") and name != "powerwall_dev_info":
            own = {pair for pair in labels if pair[0] in ("category", "type", "serial", "id")}
            assert len([identity for identity in identities if own <= identity]) == 1, (name, labels)


def test_several_transformers_on_one_neurio_are_several_meters(player: Player) -> None:
    powers = {"1": 4958.625, "2": 1784.875, "3": 3311.25}
    meters = [transformer(int(number), power) for number, power in powers.items()]
    found = player.probe({"meters/solar": meters})
    meter = {"category": "solar", "type": "neurio_w2_tcp", "serial": "OBB3250000071"}
    for number, power in powers.items():
        assert of(found, "dev_instant_power_watts", **meter, id=number) == power
        assert of(found, "dev_ct_enabled", **meter, id=number, ct=number) == 1.0
    assert len(list(labelled(found, "dev_instant_power_watts"))) == 3
    assert of(found, "series_dropped") == 0.0
    assert_meters_join_one_to_one(found)


def test_a_meter_of_its_own_has_no_id_in_its_labels(player: Player) -> None:
    found = player.probe({"meters/solar": [transformer(1, 4958.625)], "meters/site": [transformer(1, 7.5)]})
    for category, power in (("solar", 4958.625), ("site", 7.5)):
        meter = {"category": category, "type": "neurio_w2_tcp", "serial": "OBB3250000071"}
        assert of(found, "dev_instant_power_watts", **meter) == power
    assert_meters_join_one_to_one(found)


def phases(cts: list[bool], **readings: object) -> list[dict[str, Any]]:
    times = {f"last_phase_{quantity}_communication_time": TIME for quantity in ("voltage", "power", "energy")}
    return [
        {
            "id": 0,
            "type": "synchrometerX",
            "cts": cts,
            "connection": {"device_serial": "JBL25001"},
            "Cached_readings": {"last_communication_time": TIME, "instant_power": 900, **times, **readings},
        }
    ]


VOLTS = {"v_l1n": 121.25, "v_l2n": 121.5}


@pytest.mark.parametrize(
    ("cts", "readings", "powers"),
    [
        ([True, True, False, False], {**VOLTS, "real_power_a": 900}, {"a": 900.0, "b": 0.0}),
        ([True, True, False, False], VOLTS, {"a": 0.0, "b": 0.0}),
        ([False, False, False, True], {"v_l1n": 248.5}, {"a": 0.0}),
        ([True, False, False, False], {**VOLTS, "real_power_a": 900}, {"a": 900.0}),
        ([True, False, False, False], VOLTS, {"a": 0.0}),
        ([True, True, True, False], {**VOLTS, "real_power_a": 900}, {"a": 900.0, "b": 0.0}),
        ([True, True, False, False], {**VOLTS, "real_power_a": 900, "real_power_b": None}, {"a": 900.0}),
        (
            [True, True, False, False],
            {**VOLTS, "real_power_a": 900, "last_phase_power_communication_time": NEVER},
            {},
        ),
    ],
    ids=repr,
)
def test_a_phase_at_exactly_0_watts_is_left_out_by_the_gateway(
    player: Player, cts: list[bool], readings: dict[str, object], powers: dict[str, float]
) -> None:
    found = player.probe({"meters/site": phases(cts, **readings)})
    meter = {"category": "site", "type": "synchrometerX", "serial": "JBL25001"}
    assert {
        phase: value
        for phase in "abc"
        if (value := of(found, "dev_phase_power_watts", **meter, phase=phase)) is not None
    } == powers


def test_volts_amperes_and_watts_of_a_phase_join(player: Player) -> None:
    measured: dict[str, object] = {
        "v_l1n": 230.5,
        "v_l2n": 231.5,
        "v_l3n": 232.5,
        **{f"real_power_{phase}": 300 for phase in "abc"},
        **{f"reactive_power_{phase}": 30 for phase in "abc"},
        **{f"i_{phase}_current": 1.5 for phase in "abc"},
        **{f"energy_{way}_{phase}": 2.5 for way in ("exported", "imported") for phase in "abc"},
    }
    found = player.probe({"meters/site": phases([True, True, True, False], **measured)})
    families = {name for name, labels in found if "phase" in dict(labels)}
    assert families == {
        "powerwall_dev_phase_volts",
        "powerwall_dev_phase_power_watts",
        "powerwall_dev_phase_reactive_power_vars",
        "powerwall_dev_phase_current_amperes",
        "powerwall_dev_phase_exported_joules_total",
        "powerwall_dev_phase_imported_joules_total",
    }
    for family in families:
        names = [labels["phase"] for labels in labelled(found, family.removeprefix("powerwall_"))]
        assert names == ["a", "b", "c"]


def never(**numbers: float) -> dict[str, Any]:
    zeros = dict.fromkeys(
        ("instant_power", "instant_apparent_power", "frequency", "energy_exported", "energy_imported"), 0
    )
    return {"last_communication_time": NEVER, **zeros, "timeout": 1500000000, **numbers}


def test_a_category_that_was_never_measured_has_no_samples(player: Player) -> None:
    site = {"last_communication_time": TIME, "instant_power": -2, "energy_imported": 5.5}
    odd = never(instant_average_voltage=0.25)
    documents = {
        "meters/aggregates": {"site": site, "solar": never(), "generator": never(), "busway": odd},
        "meters/solar": [{"type": "neurio_tcp", "id": 0, "Cached_readings": never()}],
        "system_status/soe": {"percentage": 52.75},
    }
    found = player.probe(documents)
    categories = {
        dict(labels)["category"] for name, labels in found if "category" in dict(labels) and "dev" not in name
    }
    assert categories == {"site", "busway"}, "a number other than 0 was measured"
    devices = {name for name, labels in found if ("category", "solar") in labels}
    assert devices == {"powerwall_dev_info"}, "the meter is known, and has said nothing"
    heading, row = player.run(documents, "probe", "--format", "table").splitlines()
    cells = dict(zip(heading.replace(" %", "").replace(" kW", "kW").split(), row.split(), strict=True))
    assert cells["SOLARkW"] == "-"
    assert cells["GRIDkW"] == "0.00", "and not -0.00"
    assert cells["CHARGE"] == "50", "as Tesla's app and our pages show it"


def test_no_arm_of_the_picture_for_what_was_never_measured() -> None:
    site = {"last_communication_time": TIME, "instant_power": -0.4, "energy_imported": 5.5}
    sums = SimulatedAnswer(200, json.dumps({"site": site, "solar": never()}).encode())
    with scene(RecordedSystem({"meters/aggregates": sums})) as home:
        home.probe()
        page = gateway_page(home.site, "/metrics").body.decode()
    assert "Grid 0 W idle" in page, "and not -0 W"
    assert "Solar" not in page
    assert "Sun" not in page


@pytest.mark.parametrize(("volt_amperes", "shown"), [(100.0, 0.0), (100.5, None)])
def test_no_current_beside_power_is_no_measurement(
    player: Player, volt_amperes: float, shown: float | None
) -> None:
    side = volt_amperes / 2**0.5
    measured = {"instant_power": side, "instant_reactive_power": -side, "last_communication_time": TIME}
    currents = {"instant_average_current": 0, "instant_total_current": 0}
    block = {"PackageSerialNumber": "TG1", "p_out": -volt_amperes, "i_out": 0}
    meter = phases([True] * 4, **VOLTS, real_power_a=volt_amperes, i_a_current=0, i_b_current=2.5)
    meter[0]["Cached_readings"] |= measured | currents
    found = player.probe(
        {
            "meters/aggregates": {"site": {**measured, **currents}, "load": {**measured, **currents}},
            "meters/site": meter,
            "system_status": {"battery_blocks": [block]},
            "solar_powerwall": {
                "pvac_status": {
                    "p_out": volt_amperes,
                    "i_out": 0,
                    "string_vitals": [{"string_id": 1, "measured_power": volt_amperes, "current": 0}],
                }
            },
        }
    )
    device = {"category": "site", "type": "synchrometerX", "serial": "JBL25001"}
    assert [
        of(found, "instant_average_amps", category="load"),
        of(found, "instant_total_amps", category="site"),
        of(found, "dev_instant_average_amps", **device),
        of(found, "dev_phase_current_amperes", **device, phase="a"),
        of(found, "battery_output_amps", serial="TG1"),
        of(found, "pv_inverter_output_amperes", inverter="1"),
        of(found, "pv_string_amperes", inverter="1", string="1"),
    ] == [pytest.approx(shown)] * 7
