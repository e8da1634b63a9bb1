"""The document of a Powerwall+'s solar inverter: strings, switches and alerts."""

from __future__ import annotations

from typing import Any, Final

from probe_exporter.simulator.moment import Moment

_STRINGS: Final = ((1, 0.47, 338.0), (2, 0.0, 0.0), (3, 0.53, 371.0), (4, 0.0, 0.0))
"""Number, share of the sun, and volts at full sun of each string; two are connected."""

_PVAC_ALERTS: Final = (
    "PVAC_a010_inv_AC_overvoltage",
    "PVAC_a019_ambient_overtemperature",
    "PVAC_a030_fan_faulted",
)
_PVS_ALERTS: Final = ("PVS_a018_MciStringB", "PVS_a026_Mci1PvVoltage", "PVS_a060_MciClose")


def solar_powerwall(moment: Moment) -> dict[str, Any]:
    """``solar_powerwall``; an empty object where there is no Powerwall+."""
    if not moment.plus:
        return {}
    watts = moment.site.solar_power
    dark = watts <= 0.0
    volts = moment.volts * moment.profile.legs
    return {
        "pvac_status": {
            "state": "PVAC_Standby" if dark else "PVAC_Active",
            "disabled": False,
            "disabled_reasons": [],
            "grid_state": "Grid_Uncompliant" if moment.site.islanded else "Grid_Compliant",
            "inv_state": "" if dark else "INV_Grid_Connected",
            "v_out": round(volts, 1),
            "f_out": moment.hertz,
            "p_out": watts,
            "q_out": -10,
            "i_out": watts / volts if volts else 0.0,
            "string_vitals": [_string(watts, *string) for string in _STRINGS],
        },
        "pvs_status": {
            "state": "PVS_Standby" if dark else "PVS_GridSupporting",
            "disabled": False,
            "enable_output": not dark,
            "v_ll": round(volts + 0.8, 1),
            "self_test_state": "PVS_SelfTestOff",
        },
        "pv_power_limit": moment.profile.solar_peak,
        "power_status_setpoint": "on",
        "pvac_alerts": _alerts(moment, "PVAC", _PVAC_ALERTS),
        "pvs_alerts": _alerts(moment, "PVS", _PVS_ALERTS),
    }


def _string(watts: float, number: int, share: float, volts: float) -> dict[str, Any]:
    """Return a string; a dark one floats at some volts."""
    connected = share > 0.0
    power = max(0.0, watts) * share
    measured = volts if power > 0.0 else 9.5 + number
    return {
        "string_id": number,
        "connected": connected,
        "measured_voltage": measured,
        "current": power / measured,
        "measured_power": power,
    }


def _alerts(moment: Moment, prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "LastRxTime": moment.written(0.9),
        "ReceivedMuxBitmask": 1,
        f"{prefix}_alertMatrixIndex": 0,
        **dict.fromkeys(names, False),
    }
