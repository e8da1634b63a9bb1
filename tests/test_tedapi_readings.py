"""What TEDAPI says, as metrics: our own payload, complete recordings with golden files, partial ones as cases.

Recordings are other people's and stay outside. RECORDED_PAYLOADS and RECORDED_TEDAPI name their folders, which CI
sets; without them their tests skip. To write golden files anew, set WRITE_GOLDEN=1, and read every line.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from probe_exporter.config.schema import COLLECTORS
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.assembly import assemble
from probe_exporter.metrics.exposition import Format, render
from probe_exporter.readings import ATTRIBUTES, Readings, read
from probe_exporter.readings.payload import decode
from tests.readings_of import BY_NAME, READ_AT, readings_of

GOLDEN = Path(__file__).parent / "golden"
OWNER = frozenset({"meters/aggregates", "system_status/soe", "system_status/grid_status"})
TAKEN_OVER = frozenset(family.endpoint for family in CATALOGUE if family.twin is not None) - OWNER
"""The endpoints that a Powerwall 3 does not have, and TEDAPI speaks for."""

Samples = dict[tuple[str, ...], float]


def samples(readings: Readings, name: str) -> Samples:
    """The samples of a family, from TEDAPI where it takes over."""
    found: Samples = {}
    for labels, value in BY_NAME[f"powerwall_{name}"].source(readings).read(readings):
        found.setdefault(labels, value)
    return found


def readings_from(documents: dict[str, Any], read_at: float = READ_AT) -> Readings:
    """Readings of documents by their endpoint, with the DIN that was asked put in, as a channel does."""
    readings = Readings(by_tedapi=TAKEN_OVER)
    din = documents.get("tedapi/config", {}).get("vin", "1707000-21-K--TG0000000000AA")
    for endpoint, document in documents.items():
        value = read(endpoint, decode(json.dumps({"din": din, **document}).encode()), read_at).value
        setattr(readings, ATTRIBUTES[endpoint], value)
    return readings


def recorded(variable: str, system: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} names no folder of recorded payloads")
    path = Path(folder) / system / "tedapi"
    if not path.is_dir():
        pytest.fail(f"{variable} has no {system}")
    return path


def documents_in(folder: Path) -> dict[str, Any]:
    """The documents of a recording made by others: their names, and their form of the system's information."""
    names = {
        "config": "tedapi/config",
        "components": "tedapi/components",
        "status": "tedapi/controller",
        "device_controller": "tedapi/controller",
    }
    found = {
        endpoint: json.loads((folder / f"{name}.json").read_text("utf-8"))
        for name, endpoint in names.items()
        if (folder / f"{name}.json").exists()
    }
    details = folder / "firmware_details.json"
    if details.exists():
        system = json.loads(details.read_text("utf-8"))["system"]
        found["tedapi/system"] = {
            "version": system["version"]["text"],
            "gitHash": "4f924de839f0c4f6f7fda90f010ed9f41bfe5599",
            "update": {"status": system["five"]},
        }
    return found


def text_of(readings: Readings) -> str:
    result = assemble(CATALOGUE, readings, COLLECTORS, lambda *_: True)
    return render(result.metrics, Format.TEXT).decode("utf-8")


def compare(text: str, golden: Path) -> None:
    if os.environ.get("WRITE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text.splitlines() == golden.read_text(encoding="utf-8").splitlines()


def series(text: str) -> int:
    return sum(not line.startswith("#") for line in text.splitlines())


def ours(name: str = "pw3-26") -> Readings:
    readings = readings_of(name)
    readings.by_tedapi = TAKEN_OVER
    return readings


class TestOurPayload:
    """A Powerwall 3 with two expansions."""

    def test_golden(self) -> None:
        readings = ours()
        readings.aggregates = readings.soe = readings.grid_status = None
        text = text_of(readings)
        compare(text, GOLDEN / "tedapi-pw3-26.prom")
        assert series(text) <= 250

    def test_a_powerwall_plus(self) -> None:
        readings = Readings(by_tedapi=TAKEN_OVER, tedapi_controller=ours("pwplus-23.28").tedapi_controller)
        compare(text_of(readings), GOLDEN / "tedapi-pwplus-23.28.prom")

    def test_the_pack_inside_goes_by_the_serial_of_its_powerwall(self) -> None:
        info = samples(ours(), "battery_pack_info")
        assert info == {
            ("TG123050001A2B", "TG123050001A2B", "TG123049007C11"): 1.0,
            ("TG123051002D22", "TG123050001A2B", "TG123051002D22"): 1.0,
            ("TG123051003E33", "TG123050001A2B", "TG123051003E33"): 1.0,
        }

    def test_energies_of_packs_are_kilowatt_hours(self) -> None:
        assert samples(ours(), "battery_full_pack_joules") == {
            ("TG123050001A2B",): pytest.approx(14.31 * 3.6e6),
            ("TG123051002D22",): pytest.approx(14.52 * 3.6e6),
            ("TG123051003E33",): pytest.approx(14.43 * 3.6e6),
        }
        assert samples(ours(), "battery_remaining_joules")["TG123050001A2B",] == pytest.approx(9.22 * 3.6e6)
        total = samples(ours(), "battery_pack_discharged_joules_total")
        assert total["TG123051002D22",] == pytest.approx(1876.52 * 3.6e6)

    def test_the_sum_of_the_packs_is_the_site(self) -> None:
        readings = ours()
        assert samples(readings, "batteries_configured") == {(): 3.0}
        for name in ("remaining_joules", "full_pack_joules"):
            packs = samples(readings, f"battery_{name}")
            assert len(packs) == 3
            assert sum(packs.values()) == pytest.approx(samples(readings, name)[()], rel=0.02)

    def test_energies_of_the_site_are_watt_hours_and_limits_kilowatts(self) -> None:
        readings = ours()
        assert samples(readings, "remaining_joules") == {(): 30650 * 3600.0}
        assert samples(readings, "site_meter_max_power_watts") == {(): 13_500.0}
        assert samples(readings, "site_nominal_joules") == {(): pytest.approx(40.6 * 3.6e6)}

    def test_inputs_without_panels_have_no_samples(self) -> None:
        readings = ours()
        for name in ("volts", "amperes", "power_watts"):
            strings = {labels[1] for labels in samples(readings, f"pv_string_{name}")}
            assert strings == {"A", "B", "C"}
        amperes = samples(readings, "pv_string_amperes")
        assert amperes["TG123050001A2B", "C"] == 0.0
        assert samples(readings, "pv_string_power_watts")["TG123050001A2B", "A"] == 411 * 3.5

    def test_a_current_on_the_dc_side_is_no_output(self) -> None:
        readings = ours()
        assert samples(readings, "inverter_battery_power_watts") == {("TG123050001A2B",): -1330.0}
        assert samples(readings, "inverter_output_power_watts") == {("TG123050001A2B",): 1482.0}
        assert samples(readings, "battery_output_power_watts") == {}

    def test_what_is_not_there_has_no_samples(self) -> None:
        text = "\n".join(line for line in text_of(ours()).splitlines() if not line.startswith("#"))
        for nothing in (
            "Phantom",
            "BMS_a048",
            "45.45",
            "METER_Y",
            "synchrometerY",
            'phase="c"',
            "not-to-be-read",
        ):
            assert nothing not in text
        assert set(samples(ours(), "contactor_grid_volts")) == {("a",)}

    def test_alerts_of_boards_go_by_the_serials_of_metrics(self) -> None:
        alerts = set(samples(ours(), "alert_active"))
        assert ("gateway", "", "SystemConnectedToGrid") in alerts
        assert ("bms", "TG123050001A2B", "BMS_a012_Example") in alerts
        assert ("hvp", "TG123051002D22", "HVP_a027_Example") in alerts
        assert ("pws", "TG123050001A2B", "PWS_a078_AfciSvmTriggered") in alerts
        assert samples(ours(), "alerts")[("gateway",)] == 2.0

    def test_a_clock_that_is_ahead(self) -> None:
        assert samples(ours(), "gateway_clock_offset_seconds") == {(): 3.0}

    def test_a_follower_adds_its_packs_and_its_inverter(self) -> None:
        documents = {
            name: json.loads(
                (Path(__file__).parent / f"payloads/pw3-26/tedapi_{name}.json").read_text("utf-8")
            )
            for name in ("config", "components", "controller")
        }
        follower = "1707000-21-K--TG123050009F0F"
        documents["config"]["battery_blocks"].append({"vin": follower, "type": "Powerwall3Follower"})
        answer = copy.deepcopy(documents["components"])
        for slot in answer["components"]["hvp"][1:]:
            slot["serialNumber"] = ""
        answer["components"]["hvp"][0]["serialNumber"] = "TG123049999Z99"
        readings = readings_from({f"tedapi/{name}": document for name, document in documents.items()})
        value = read("tedapi/components", {**answer, "din": follower}, READ_AT).value
        readings.tedapi_followers = (value,)  # type: ignore[assignment]
        info = samples(readings, "battery_pack_info")
        assert ("TG123050009F0F", "TG123050009F0F", "TG123049999Z99") in info
        assert len(info) == 4
        assert samples(readings, "battery_remaining_joules")["TG123050009F0F",] == pytest.approx(9.21 * 3.6e6)
        assert set(samples(readings, "inverter_output_power_watts")) == {
            ("TG123050001A2B",),
            ("TG123050009F0F",),
        }

    def test_three_units_with_three_packs_each_stay_within_600_series(self) -> None:
        documents = {
            name: json.loads(
                (Path(__file__).parent / f"payloads/pw3-26/tedapi_{name}.json").read_text("utf-8")
            )
            for name in ("config", "components", "controller", "system")
        }
        leader = documents["config"]["battery_blocks"][0]
        found = []
        for unit in (1, 2):
            din = f"1707000-21-K--TG12305000{unit}F0F"
            serials = [f"TG1230{unit}100{place}" for place in range(3)]
            expansions = [{"din": f"1807000-20-B--{serial}"} for serial in serials[1:]]
            block = {**leader, "vin": din, "type": "Powerwall3Follower", "battery_expansions": expansions}
            documents["config"]["battery_blocks"].append(block)
            answer = copy.deepcopy(documents["components"])
            for place, serial in enumerate(serials):
                answer["components"]["hvp"][place]["serialNumber"] = serial
            for name in "ABCDEF":
                for signal in answer["components"]["pch"][0]["signals"]:
                    if signal["name"] == f"PCH_PvVoltage{name}":
                        signal["value"] = 400.5
            found.append(read("tedapi/components", {**answer, "din": din}, READ_AT).value)
        readings = readings_from({f"tedapi/{name}": document for name, document in documents.items()})
        readings.tedapi_followers = tuple(found)  # type: ignore[assignment]
        assert len(samples(readings, "battery_pack_info")) == 9
        assert series(text_of(readings)) <= 600


class TestIdentity:
    """Packs and inverters go by their own names, or are dropped."""

    @pytest.fixture
    def documents(self) -> dict[str, Any]:
        folder = Path(__file__).parent / "payloads/pw3-26"
        return {
            f"tedapi/{name}": json.loads((folder / f"tedapi_{name}.json").read_text("utf-8"))
            for name in ("config", "components", "controller")
        }

    def test_no_packs_before_the_configuration(self, documents: dict[str, Any]) -> None:
        del documents["tedapi/config"]
        assert samples(readings_from(documents), "battery_pack_info") == {}

    def test_two_boards_of_one_serial(self, documents: dict[str, Any]) -> None:
        slots = documents["tedapi/components"]["components"]["hvp"]
        slots[2]["serialNumber"] = slots[1]["serialNumber"]
        assert len(samples(readings_from(documents), "battery_pack_info")) == 1

    def test_two_packs_that_might_be_inside(self, documents: dict[str, Any]) -> None:
        documents["tedapi/config"]["battery_blocks"][0]["battery_expansions"].pop()
        serials = {labels[0] for labels in samples(readings_from(documents), "battery_pack_info")}
        assert serials == {"TG123049007C11", "TG123051002D22", "TG123051003E33"}

    def test_a_pack_that_the_controller_does_not_know_has_no_energy(self, documents: dict[str, Any]) -> None:
        boards = documents["tedapi/controller"]["components"]["msa"]
        documents["tedapi/controller"]["components"]["msa"] = [
            board for board in boards if board["serialNumber"] != "TG123051002D22"
        ]
        readings = readings_from(documents)
        assert ("TG123051002D22",) not in samples(readings, "battery_remaining_joules")
        assert len(samples(readings, "battery_remaining_joules")) == 2

    def test_two_inverters_in_one_answer(self, documents: dict[str, Any]) -> None:
        documents["tedapi/components"]["components"]["pch"] *= 2
        readings = readings_from(documents)
        assert samples(readings, "inverter_output_power_watts") == {}
        assert samples(readings, "pv_string_volts") == {}

    def test_lists_of_different_lengths(self, documents: dict[str, Any]) -> None:
        documents["tedapi/controller"]["components"]["msa"] = []
        documents["tedapi/components"]["components"]["bms"].pop()
        readings = readings_from(documents)
        assert samples(readings, "battery_remaining_joules") == {}
        assert len(samples(readings, "battery_temperature_celsius")) == 9

    @pytest.fixture
    def single(self, documents: dict[str, Any]) -> dict[str, Any]:
        """A single Powerwall 3 whose pack tells no serial, as far as is known of some firmware."""
        documents["tedapi/config"]["battery_blocks"][0]["battery_expansions"] = []
        parts = documents["tedapi/components"]["components"]
        for slot in parts["hvp"]:
            slot["serialNumber"] = ""
        parts["bms"] = [parts["bms"][0], *[{"signals": [], "activeAlerts": []}] * 3]
        documents["tedapi/controller"]["components"]["msa"] = []
        return documents

    def test_the_only_pack_goes_by_its_block(self, single: dict[str, Any]) -> None:
        readings = readings_from(single)
        assert samples(readings, "battery_remaining_joules") == {
            ("TG123050001A2B",): pytest.approx(9.21 * 3.6e6)
        }

    def test_unless_there_are_expansions(self, single: dict[str, Any]) -> None:
        single["tedapi/config"]["battery_blocks"][0]["battery_expansions"] = [{"din": "1807000-20-B--TG123"}]
        assert samples(readings_from(single), "battery_remaining_joules") == {}

    def test_or_another_slot_that_looks_filled(self, single: dict[str, Any]) -> None:
        single["tedapi/components"]["components"]["bms"][3] = {
            "activeAlerts": [],
            "signals": [{"name": "BMS_nominalFullPackEnergy", "value": 14.47}],
        }
        assert samples(readings_from(single), "battery_full_pack_joules") == {}


class TestRecordings:
    """Complete recordings of one site, at night and in full sun; partial ones of others."""

    @pytest.mark.parametrize(
        ("variable", "system"),
        [
            ("RECORDED_PAYLOADS", "pw3-au-1ph-26.10.3"),
            ("RECORDED_TEDAPI", "pw3-au-1ph-26.10.3-day-full"),
        ],
    )
    def test_complete(self, variable: str, system: str) -> None:
        readings = readings_from(documents_in(recorded(variable, system)))
        text = text_of(readings)
        compare(text, GOLDEN / "recorded" / f"{system}.tedapi.prom")
        assert series(text) <= 250
        packs = samples(readings, "battery_full_pack_joules")
        assert len(packs) == samples(readings, "batteries_configured")[()] == 3
        assert sum(packs.values()) == pytest.approx(samples(readings, "full_pack_joules")[()], rel=0.02)
        remaining = sum(samples(readings, "battery_remaining_joules").values())
        assert remaining == pytest.approx(samples(readings, "remaining_joules")[()], rel=0.02)

    def test_a_phantom_slot_belongs_to_a_follower(self) -> None:
        readings = readings_from(
            documents_in(recorded("RECORDED_TEDAPI", "pw3-au-leader-2exp-1follower-v1r"))
        )
        assert samples(readings, "batteries_configured") == {(): 4.0}
        assert samples(readings, "battery_remaining_joules") == {
            ("TG000000000F01",): pytest.approx(5.61 * 3.6e6),
            ("TG000000000F03",): pytest.approx(6.74 * 3.6e6),
            ("TG000000000F04",): pytest.approx(6.87 * 3.6e6),
        }

    @pytest.mark.parametrize("system", ["pw3-us-1x-2024-06", "pw3x2-us-2024-06"])
    def test_null_is_not_disabled(self, system: str) -> None:
        readings = readings_from(documents_in(recorded("RECORDED_TEDAPI", system)))
        assert samples(readings, "battery_disabled") == {}

    def test_discharging(self) -> None:
        readings = readings_from(documents_in(recorded("RECORDED_TEDAPI", "pw3-us-1x-2025-04-discharging")))
        readings.by_tedapi = readings.by_tedapi | OWNER
        assert samples(readings, "instant_power_watts")[("battery",)] == 1839.0
        assert samples(readings, "charge_ratio") == {(): 10300 / 14400}
        assert samples(readings, "battery_disabled") == {("TG000000000Q01",): 0.0}
        assert samples(readings, "pv_string_volts") == {}

    def test_two_powerwall_2(self) -> None:
        readings = readings_from(documents_in(recorded("RECORDED_TEDAPI", "pw2x2-us-tedapi-2025-07")))
        assert samples(readings, "remaining_joules") == {(): 6750 * 3600.0}
        assert samples(readings, "alerts") == {("gateway",): 2.0}

    def test_temperatures_and_fans_of_two_units(self) -> None:
        folder = recorded_folder("pw3x2-us-26.18.1-extra-signals")
        values = json.loads((folder / "recorded" / "extra_signals.json").read_text("utf-8"))["leader"]
        pack = {name: values["packs"][0][name] for name in ("HVP_PackTempMax", "HVP_PackTempMin")}
        readings = readings_from(
            {
                "tedapi/config": {
                    "vin": "1707000-21-K--TG0000000000AA",
                    "battery_blocks": [{"vin": "1707000-21-K--TG0000000000AA"}],
                },
                "tedapi/components": {
                    "components": {
                        "pch": [
                            {
                                "signals": [
                                    {"name": k, "value": v} for k, v in values.items() if k[:3] == "PCH"
                                ]
                            }
                        ],
                        "hvp": [
                            {
                                "serialNumber": "TG0000000000AB",
                                "signals": [{"name": name, "value": value} for name, value in pack.items()],
                            }
                        ],
                    }
                },
            }
        )
        unit = "TG0000000000AA"
        assert samples(readings, "inverter_temperature_celsius") == {(unit, "ambient"): 45.4}
        assert samples(readings, "inverter_fan_rpm") == {(unit, "A"): 1395.0, (unit, "B"): 1397.0}
        assert samples(readings, "inverter_fan_duty_ratio")[(unit, "A")] == pytest.approx(0.191)
        assert samples(readings, "battery_temperature_celsius") == {(unit, "max"): 39.7, (unit, "min"): 35.1}


def recorded_folder(system: str) -> Path:
    folder = os.environ.get("RECORDED_TEDAPI")
    if not folder:
        pytest.skip("RECORDED_TEDAPI names no folder of recorded payloads")
    return Path(folder) / system
