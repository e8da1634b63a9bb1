"""The answers of a living Powerwall 3 by TEDAPI: packs, strings, temperatures and configuration that fit its energy.

Signals are built from the names that were asked for, as a gateway does: known ones get a value, others are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from probe_exporter.simulator.household import EFFICIENCY, RESERVE, Pack
from probe_exporter.simulator.moment import Moment

_PER_UNIT: Final = 3
"""Packs of one Powerwall 3: the one inside, and two expansions."""

_SLOTS: Final = 4
_STRINGS: Final = {"A": 0.29, "B": 0.27, "C": 0.23, "D": 0.21}
"""The share of the sun that each string of a unit gets."""

_STRAY: Final = {"A": 28.0, "B": 27.0, "C": 25.0, "D": 24.0, "E": 16.0, "F": 15.0}
"""Volts on the inputs while it is dark; E and F have no panels."""

_BUILT_IN: Final = "1800420-11-F"
_EXPANSION: Final = "1807000-20-B"
_SYNC_PART: Final = "1493315-02-H"

Signals = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unit:
    """A Powerwall 3 with its packs, the first of which is inside it."""

    din: str
    packs: tuple[Pack, ...]
    index: int
    count: int


def units(moment: Moment) -> list[Unit]:
    """The leader, then the followers: three packs each, as far as there are any."""
    packs = moment.site.packs
    groups = [packs[start : start + _PER_UNIT] for start in range(0, len(packs), _PER_UNIT)]
    part, serial = moment.profile.gateway_part, int(moment.serial.removeprefix("TG"))
    return [
        Unit(f"{part}--TG{serial + 1_000_003 * index:012d}", tuple(group), index, len(groups))
        for index, group in enumerate(groups)
    ]


def config(moment: Moment) -> dict[str, Any]:
    """``config.json``."""
    everything = units(moment)
    leader = everything[0].din
    return {
        "vin": leader,
        "meters": [
            {
                "location": "site",
                "type": "synchrometerX",
                "cts": [True, False, False, False],
                "inverted": [False, False, False, False],
                "connection": {"short_id": leader, "device_serial": f"{_sync_serial(moment)}synchrometerX"},
            }
        ],
        "battery_blocks": [
            {
                "vin": unit.din,
                "max_current": 48,
                "min_soe": 0,
                "max_soe": 100,
                "type": "Powerwall3" if not unit.index else "Powerwall3Follower",
                "phase": "Phase1",
                "pvi_power_status": "on",
                "battery_power_status": "on",
                "battery_expansions": [{"din": f"{_EXPANSION}--{pack.serial}"} for pack in unit.packs[1:]],
            }
            for unit in everything
        ],
        "evses": [{"din": "1529455-02-F--PGT18000000001"}],
        "site_info": {
            "net_meter_mode": "battery_ok",
            "customer_preferred_export_rule": "pv_only",
            "battery_commission_date": "2025-03-11T10:41:07+11:00",
            "backup_reserve_percent": RESERVE,
            "max_site_meter_power_ac": 15,
            "min_site_meter_power_ac": -5,
            "nominal_system_energy_ac": 13.5 * len(moment.site.packs),
            "nominal_system_power_ac": 11.04 * len(everything),
            "grid_code": "50Hz_230V_1_SMC_ASNZS4777.2_2020_AUS_A",
            "country": "Australia",
            "state": "New South Wales",
            "distributor": "Simulated Grid",
            "utility": "*",
            "retailer": "*",
            "region": "ASNZS4777.2:2020_AUS_A",
            "site_name": moment.name,
            "timezone": moment.profile.timezone,
        },
        "strategy": {"control": "lps", "TOU_mode": "economic"},
        "default_real_mode": "self_consumption",
        "installer": {"email": "installer@example.com", "company": "Simulated Solar"},
        "customer": {"registered": True},
    }


def system(moment: Moment) -> dict[str, Any]:
    """Return the answer of ``get_system_info``, under the exporter's names of its fields."""
    return {
        "partNumber": moment.profile.gateway_part,
        "serialNumber": moment.serial,
        "version": moment.profile.version,
        "gitHash": moment.profile.git_hash,
        "update": {"status": 1, "handshakeResult": 3, "lastHandshakeTimestamp": int(moment.time) - 4_217},
    }


def controller(moment: Moment, names: Iterable[str]) -> dict[str, Any]:
    """The device controller; ``names`` are those of the signals asked for."""
    site = moment.site
    everything = units(moment)
    return {
        "control": {
            "systemStatus": {
                "nominalFullPackEnergyWh": round(site.full / 50.0) * 50,
                "nominalEnergyRemainingWh": round(site.remaining / 50.0) * 50,
            },
            "islanding": {
                "customerIslandMode": "BACKUP",
                "contactorClosed": not site.islanded,
                "microGridOK": True,
                "gridOK": not site.islanded,
                "disableReasons": [],
            },
            "meterAggregates": [
                {"location": "BATTERY", "realPowerW": site.battery_power},
                {"location": "SITE", "realPowerW": site.site_power},
                {"location": "LOAD", "realPowerW": site.load_power},
                {"location": "SOLAR", "realPowerW": site.solar_power},
            ],
            "alerts": {"active": ["GridOutage"] if site.islanded else ["SystemConnectedToGrid"]},
            "siteShutdown": {"isShutDown": False, "reasons": []},
            "batteryBlocks": [{"din": unit.din, "disableReasons": []} for unit in everything],
            "pvInverters": [],
        },
        "system": {
            "time": moment.written()[:19] + moment.written()[-6:],
            "sitemanagerStatus": {"isRunning": True},
        },
        "pw3Can": {"firmwareUpdate": {"isUpdating": False, "progress": None}},
        "esCan": {"bus": {"SYNC": _sync(moment), "ISLANDER": _islander(moment)}},
        "components": {"msa": _msa(moment, everything[0], frozenset(names))},
    }


def components(moment: Moment, unit: Unit, names: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """The components of one unit; ``names`` are those of the signals asked for, by kind of component."""
    asked = {kind: frozenset(wanted) for kind, wanted in names.items()}
    empty = _SLOTS - len(unit.packs)
    connected = len(unit.packs)
    return {
        "components": {
            "pws": [_component({"PWS_SelfTest": "SELFTEST_STATE_DONE"}, asked, "pws")],
            "pch": [_component(_inverter(moment, unit), asked, "pch")],
            "bms": [_component(_energy(pack), asked, "bms") for pack in unit.packs]
            + [_component(_PHANTOM, asked, "bms", "BMS_a048_SW_HVP_HVI_Comms")] * empty,
            "hvp": [
                {
                    "partNumber": _EXPANSION if place else _BUILT_IN,
                    "serialNumber": pack.serial,
                    **_component(_pack(moment, pack, place), asked, "hvp"),
                }
                for place, pack in enumerate(unit.packs)
            ]
            + [{"partNumber": "", "serialNumber": "", **_component({}, asked, "hvp")}] * empty,
            "baggr": [
                _component(
                    {
                        "BAGGR_State": "BAGGR_ACTIVE",
                        "BAGGR_NumBatteriesConnected": connected,
                        "BAGGR_NumBatteriesPresent": connected,
                        "BAGGR_NumBatteriesExpected": connected,
                    },
                    asked,
                    "baggr",
                )
            ],
        }
    }


_PHANTOM: Final[Signals] = {"BMS_nominalEnergyRemaining": 0.2, "BMS_nominalFullPackEnergy": 14.47}
"""An empty slot reports a plausible capacity and a wrong charge."""


def _component(
    values: Signals, asked: Mapping[str, frozenset[str]], kind: str, *alerts: str
) -> dict[str, Any]:
    return {
        "activeAlerts": [{"name": name} for name in alerts],
        "signals": signals(values, asked.get(kind, frozenset())),
    }


def signals(values: Signals, asked: frozenset[str]) -> list[dict[str, Any]]:
    """The signals of ``values`` that were asked for, as a gateway writes them."""
    return [
        {
            "name": name,
            "value": value if isinstance(value, (int, float)) and not isinstance(value, bool) else None,
            "textValue": value if isinstance(value, str) else None,
            "boolValue": value if isinstance(value, bool) else None,
            "timestamp": None,
        }
        for name, value in values.items()
        if name in asked
    ]


def _energy(pack: Pack) -> Signals:
    return {
        "BMS_nominalEnergyRemaining": round(pack.remaining / 1000.0, 2),
        "BMS_nominalFullPackEnergy": round(pack.full / 1000.0, 2),
        "BMS_kwhDischargeTotal": round(pack.counter.positive / 1000.0 / EFFICIENCY, 3),
    }


def _pack(moment: Moment, pack: Pack, place: int) -> Signals:
    warmth = (
        24.0
        + 12.0 * abs(pack.power) / pack.limit
        + 3.0 * moment.site.noise(pack.serial, moment.time, 3_600.0)
    )
    return {
        "HVP_State": "HVP_ACTIVE",
        "HVP_appGitHash": "04d5dd98fb2037",
        "HVP_PackTempMax": round(warmth + 2.0 + 0.4 * place, 1),
        "HVP_PackTempMin": round(warmth - 1.5, 1),
        "HVP_ShuntTemperature": round(warmth + 3.0, 1),
    }


def _inverter(moment: Moment, unit: Unit) -> Signals:
    site = moment.site
    sun = max(0.0, site.solar_power) / unit.count
    battery = sum(pack.power for pack in unit.packs)
    cells = battery / EFFICIENCY if battery >= 0.0 else battery * EFFICIENCY
    bright = sun > 1.0
    heat = (sun + abs(battery)) / (site.profile.solar_peak + site.profile.battery_power)
    found: Signals = {
        "PCH_State": "Pch_Active",
        "PCH_AcMode": "AcMode_GridForming" if site.islanded else "AcMode_GridFollowing",
        "PCH_AcFrequency": moment.hertz,
        "PCH_AcVoltageAB": round(moment.volts, 1),
        "PCH_BatteryPower": round(cells, 0),
        "PCH_SlowPvPowerSum": round(sun, 0),
        "PCH_AcRealPowerAB": round(sun * 0.985 + battery, 0),
        "PCH_AcRealPowerSum": round(sun * 0.985 + battery, 0),
        "PCH_AmbientTemp": round(27.0 + 21.0 * heat, 1),
        "PCH_heatsinkTemp": 45.450980392156865,
        "PCH_FanSpeed_A": round(900.0 + 700.0 * heat),
        "PCH_FanSpeed_B": round(905.0 + 700.0 * heat),
        "PCH_FanDuty_A": round(5.1 + 22.0 * heat, 1),
        "PCH_FanDuty_B": round(6.6 + 22.0 * heat, 1),
    }
    for string, dark in _STRAY.items():
        share = _STRINGS.get(string, 0.0) if bright else 0.0
        volts = 380.0 + 90.0 * share * 4.0 if share else (0.0 if bright else dark)
        found[f"PCH_PvState_{string}"] = "Pv_Active" if bright else "Pv_Standby"
        found[f"PCH_PvVoltage{string}"] = round(volts, 0)
        found[f"PCH_PvCurrent{string}"] = sun * share / round(volts, 0) if share else -3.608224830031759e-16
    return found


def _sync_serial(moment: Moment) -> str:
    return f"JBL{moment.site.seed:05d}Y0001"


def _sync(moment: Moment) -> dict[str, Any]:
    watts, volts = moment.site.site_power, moment.volts
    amps = abs(watts) / volts if volts else 0.0
    meter = {
        f"METER_X_CT{phase}_{quantity}": 0
        for phase in "BC"
        for quantity in ("InstRealPower", "InstReactivePower", "I")
    }
    return {
        "packagePartNumber": _SYNC_PART,
        "packageSerialNumber": _sync_serial(moment),
        "METER_X_AcMeasurements": {
            "METER_X_CTA_InstRealPower": round(watts),
            "METER_X_CTA_InstReactivePower": -724,
            "METER_X_CTA_I": round(amps, 3),
            **meter,
            "METER_X_VL1N": volts,
            "METER_X_VL2N": 7.4,
            "METER_X_VL3N": 0.4,
            "isComplete": True,
            "isMIA": False,
        },
    }


def _islander(moment: Moment) -> dict[str, Any]:
    grid = 0.0 if moment.site.islanded else moment.volts
    sides = {"Main": (grid, moment.hertz if grid else 0.0), "Load": (moment.volts, moment.hertz)}
    measured: dict[str, Any] = {}
    for side, (volts, hertz) in sides.items():
        for phase, found in (("L1", volts), ("L2", 7.5), ("L3", 0.5)):
            measured[f"ISLAND_V{phase}N_{side}"] = found
            measured[f"ISLAND_Freq{phase}_{side}"] = hertz
    word = "Uncompliant" if moment.site.islanded else "Compliant"
    return {
        "ISLAND_AcMeasurements": {
            **measured,
            "ISLAND_GridState": f"ISLAND_GridState_Grid_{word}",
            "isComplete": True,
            "isMIA": False,
        },
        "ISLAND_GridConnection": {
            "ISLAND_GridConnected": f"ISLAND_GridConnected_{'Disconnected' if moment.site.islanded else 'Connected'}",
            "isComplete": True,
        },
    }


def _msa(moment: Moment, leader: Unit, asked: frozenset[str]) -> list[dict[str, Any]]:
    def device(part: str, serial: str, values: Signals) -> dict[str, Any]:
        return {
            "partNumber": part,
            "serialNumber": serial,
            "activeAlerts": [],
            "signals": signals(values, asked),
        }

    found = [
        device(moment.profile.gateway_part, moment.serial, {}),
        device(_SYNC_PART, _sync_serial(moment), {"SYNC_Uptime": round(moment.uptime * 1000.0)}),
    ]
    found += [device("0" * 20, pack.serial, _energy(pack)) for pack in leader.packs]
    return [*found, device("", "", _PHANTOM)]
