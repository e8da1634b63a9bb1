"""The documents about power and energy, in the shapes of firmware since 21.44."""

from __future__ import annotations

import math
from typing import Any, Final

from probe_exporter.simulator.household import Counter, Pack
from probe_exporter.simulator.moment import NEVER, Moment

_DC_VOLTS: Final = 49.0
"""Of the packs' inner bus, which is where a gateway measures the battery current; positive while charging."""

_UNLIMITED: Final = 1.7976931348623157e308


def meter(moment: Moment, watts: float, counter: tuple[float, float], **fields: Any) -> dict[str, Any]:
    """Return a category of the aggregates. ``counter`` is exported and imported Wh."""
    reactive = fields.pop("reactive", 0.0)
    amps = fields.get("instant_average_current", 0.0)
    return {
        "last_communication_time": moment.written(0.4),
        "instant_power": watts,
        "instant_reactive_power": reactive,
        "instant_apparent_power": math.hypot(watts, reactive),
        "frequency": 0,
        "energy_exported": counter[0],
        "energy_imported": counter[1],
        "instant_average_voltage": 0,
        "instant_average_current": amps,
        "i_a_current": 0,
        "i_b_current": 0,
        "i_c_current": 0,
        "last_phase_voltage_communication_time": NEVER,
        "last_phase_power_communication_time": NEVER,
        "last_phase_energy_communication_time": NEVER,
        "timeout": moment.profile.timeout_ns,
        "instant_total_current": amps,
        **fields,
    }


def aggregates(moment: Moment) -> dict[str, Any]:
    """``meters/aggregates``; the load's counter is derived from the others'."""
    site = moment.site
    modern = moment.profile.name == "pw3"
    volts = moment.volts if modern else moment.volts * math.sqrt(3.0)
    line = moment.volts * moment.profile.legs
    solar = (
        {"frequency": moment.hertz, "instant_average_voltage": line}
        if modern or moment.plus
        else {"instant_average_voltage": volts}
    )
    grid_volts = 0.0 if site.islanded else volts
    battery = site.battery
    return {
        "site": meter(
            moment,
            site.site_power,
            _outward(site.site),
            reactive=0.0 if site.islanded else -214.0,
            instant_average_voltage=grid_volts,
            instant_average_current=_amps(abs(site.site_power) + 190.0, line),
            num_meters_aggregated=1,
        ),
        "battery": meter(
            moment,
            site.battery_power,
            (battery.positive, battery.negative),
            reactive=10.0 * len(site.packs),
            frequency=moment.hertz,
            instant_average_voltage=line,
            instant_average_current=0.0 if modern else -site.battery_power / _DC_VOLTS,
            num_meters_aggregated=len(site.packs),
        ),
        "load": meter(
            moment,
            site.load_power,
            (0, site.load_energy),
            reactive=-196.5,
            instant_average_voltage=volts,
            instant_average_current=_amps(site.load_power, volts),
        ),
        "solar": meter(
            moment,
            site.solar_power,
            (site.solar.positive, site.solar.negative),
            instant_average_current=_amps(site.solar_power, line),
            num_meters_aggregated=1,
            **solar,
        ),
    }


def _outward(counter: Counter) -> tuple[float, float]:
    """Exported and imported of a meter whose positive power is import."""
    return counter.negative, counter.positive


def _amps(watts: float, volts: float) -> float:
    return watts / volts if volts else 0.0


def soe(moment: Moment) -> dict[str, Any]:
    """``system_status/soe``."""
    return {"percentage": 100.0 * (moment.site.remaining / moment.site.full)}


def grid_status(moment: Moment) -> dict[str, Any]:
    """``system_status/grid_status``."""
    return {"grid_status": moment.grid_state, "grid_services_active": False}


def system_status(moment: Moment) -> dict[str, Any]:
    """``system_status``."""
    site = moment.site
    limit = sum(pack.limit for pack in site.packs)
    return {
        "command_source": "Configuration",
        "battery_target_power": site.battery_power,
        "battery_target_reactive_power": 0,
        "nominal_full_pack_energy": site.full,
        "nominal_energy_remaining": site.remaining,
        "max_power_energy_remaining": 0,
        "max_power_energy_to_be_charged": 0,
        "max_charge_power": limit,
        "max_discharge_power": limit,
        "max_apparent_power": limit,
        "instantaneous_max_discharge_power": limit * 2,
        "instantaneous_max_charge_power": limit * 1.4,
        "instantaneous_max_apparent_power": limit * 1.15,
        "hardware_capability_charge_power": 0,
        "hardware_capability_discharge_power": 0,
        "grid_services_power": -0.0,
        "system_island_state": moment.grid_state,
        "available_blocks": len(site.packs),
        "available_charger_blocks": 0,
        "battery_blocks": [_block(moment, pack, index) for index, pack in enumerate(site.packs)],
        "ffr_power_availability_high": limit * 1.1,
        "ffr_power_availability_low": limit * 1.1,
        "load_charge_constraint": 0,
        "max_sustained_ramp_rate": 1_250_000 * len(site.packs),
        "grid_faults": grid_faults(moment),
        "can_reboot": "Power flow is too high" if abs(site.battery_power) > 2_500.0 else "Yes",
        "smart_inv_delta_p": 0,
        "smart_inv_delta_q": 0,
        "last_toggle_timestamp": moment.written(moment.uptime),
        "solar_real_power_limit": moment.profile.solar_peak if moment.plus else _UNLIMITED,
        "score": 10000,
        "blocks_controlled": len(site.packs),
        "primary": True,
        "auxiliary_load": 0,
        "all_enable_lines_high": True,
        "inverter_nominal_usable_power": limit * 1.16,
        "expected_energy_remaining": 0,
    }


def _block(moment: Moment, pack: Pack, index: int) -> dict[str, Any]:
    islanded = moment.site.islanded
    return {
        "Type": "",
        "PackagePartNumber": pack.part,
        "PackageSerialNumber": pack.serial,
        "disabled_reasons": [],
        "pinv_state": "PINV_GridForming" if islanded else "PINV_GridFollowing",
        "pinv_grid_state": "Grid_Uncompliant" if islanded else "Grid_Compliant",
        "nominal_energy_remaining": pack.remaining,
        "nominal_full_pack_energy": pack.full,
        "p_out": pack.power,
        "q_out": 10.0,
        "v_out": round(moment.volts * moment.profile.legs + 0.1 * index, 2),
        "f_out": moment.hertz,
        "i_out": -pack.power / _DC_VOLTS,
        "energy_charged": pack.counter.negative,
        "energy_discharged": pack.counter.positive,
        "off_grid": islanded,
        "vf_mode": islanded,
        "wobble_detected": False,
        "charge_power_clamped": pack.remaining > 0.98 * pack.full,
        "backup_ready": True,
        "OpSeqState": "Active",
        "version": moment.profile.git_hash[:14],
    }


def grid_faults(moment: Moment) -> list[dict[str, Any]]:
    """``system_status/grid_faults``: an undervoltage while the grid is away."""
    if not moment.site.islanded:
        return []
    pack = moment.site.packs[0]
    return [
        {
            "timestamp": int(moment.time * 1000) - 1_250,
            "alert_name": "PINV_a004_vfCheckUnderVoltage",
            "alert_is_fault": False,
            "decoded_alert": '[{"name":"PINV_alertID","value":"PINV_a004_vfCheckUnderVoltage"},'
            '{"name":"PINV_a004_uv_amplitude","value":31.5,"units":"Vrms"}]',
            "alert_raw": 4 << 56,
            "git_hash": moment.profile.git_hash[:14],
            "site_uid": moment.din,
            "ecu_type": "TEPINV",
            "ecu_package_part_number": pack.part,
            "ecu_package_serial_number": pack.serial,
        }
    ]


def meters(moment: Moment, kind: str, watts: float, counter: tuple[float, float]) -> list[dict[str, Any]]:
    """``meters/site`` and ``meters/solar``: one meter with a current transformer on each leg."""
    legs = moment.profile.legs
    volts = 0.0 if kind == "site" and moment.site.islanded else moment.volts
    reading = meter(
        moment,
        watts,
        counter,
        instant_average_voltage=volts * math.sqrt(3.0),
        reactive=0.0 if kind == "solar" else -214.0,
        instant_average_current=_amps(abs(watts), volts),
    )
    for letter, number, share in (("a", 1, 0.53), ("b", 2, 0.47))[:legs]:
        part = watts * (share if legs == 2 else 1.0)
        reading[f"v_l{number}n"] = volts
        reading[f"real_power_{letter}"] = part
        reading[f"reactive_power_{letter}"] = reading["instant_reactive_power"] / legs
        reading[f"i_{letter}_current"] = _amps(abs(part), volts)
    reading["last_phase_voltage_communication_time"] = moment.written(0.6)
    reading["last_phase_power_communication_time"] = moment.written(0.6)
    measured = [index < legs for index in range(4)]
    letter = "X" if kind == "site" else "Y"
    return [
        {
            "id": 0,
            "location": kind,
            "type": f"synchrometer{letter}",
            "cts": measured,
            "inverted": [False] * 4,
            "connection": {
                "short_id": moment.serial,
                "device_serial": f"{moment.serial}synchrometer{letter}",
                "https_conf": {},
            },
            "Cached_readings": reading,
            "ct_voltage_references": {"ct1": "Phase1", "ct2": "Phase2", "ct3": "Phase1"},
        }
    ]


def meters_site(moment: Moment) -> Any:
    """``meters/site``."""
    return meters(moment, "site", moment.site.site_power, _outward(moment.site.site))


def meters_solar(moment: Moment) -> Any:
    """``meters/solar``: null with a Powerwall+; production is what is imported, the reverse of the aggregates."""
    if moment.plus:
        return None
    return meters(moment, "solar", moment.site.solar_power, _outward(moment.site.solar))
