"""The documents about the gateway itself: identity, mode, networks, inventory."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from probe_exporter.simulator.household import RESERVE
from probe_exporter.simulator.moment import Moment, duration


def status(moment: Moment) -> dict[str, Any]:
    """``status``. The offset +0800 is a constant of the firmware, whatever the site of the gateway."""
    started = datetime.fromtimestamp(moment.started, timezone(timedelta(hours=8)))
    return {
        "din": moment.din,
        "start_time": f"{started:%Y-%m-%d %H:%M:%S} +0800",
        "up_time_seconds": duration(moment.uptime),
        "is_new": False,
        "version": moment.profile.version,
        "git_hash": moment.profile.git_hash,
        "commission_count": 0,
        "device_type": moment.profile.device_type,
        "teg_type": "unknown",
        "sync_type": "v2.1",
        "cellular_disabled": False,
        "can_reboot": True,
    }


def sitemaster(moment: Moment) -> dict[str, Any]:
    """``sitemaster``."""
    busy = abs(moment.site.battery_power) > 2_500.0
    return {
        "status": "StatusUp",
        "running": True,
        "connected_to_tesla": not moment.site.islanded,
        "power_supply_mode": False,
        "can_reboot": "Power flow is too high" if busy else "Yes",
    }


def operation(moment: Moment) -> dict[str, Any]:
    """``operation``."""
    return {
        "real_mode": "self_consumption",
        "backup_reserve_percent": RESERVE,
        "freq_shift_load_shed_soe": 65,
        "freq_shift_load_shed_delta_f": -0.32 if moment.profile.legs == 2 else 0,
    }


def site_info(moment: Moment) -> dict[str, Any]:
    """``site_info``; kWh and kW."""
    packs = moment.site.packs
    energy = 13.5 * len(packs)
    power = sum(pack.limit for pack in packs) / 1000.0
    return {
        "max_system_energy_kWh": energy,
        "max_system_power_kW": power,
        "site_name": moment.name,
        "timezone": moment.profile.timezone,
        "max_site_meter_power_kW": 1_000_000_000,
        "min_site_meter_power_kW": -1_000_000_000,
        "nominal_system_energy_kWh": energy,
        "nominal_system_power_kW": power,
        "panel_max_current": 100,
        "grid_code": moment.profile.grid_code,
    }


def site_name(moment: Moment) -> dict[str, Any]:
    """``site_info/site_name``."""
    return {"site_name": moment.name, "timezone": moment.profile.timezone}


def networks(moment: Moment) -> list[dict[str, Any]]:
    """``networks``: an unused cable, a mobile connection, and the Wi-Fi that carries everything."""
    signal = round(40 + 35 * moment.site.noise("wifi", moment.time, 300.0))
    wifi = f"home-{moment.site.seed}"
    return [
        _network("ethernet_tesla_internal_default", "EthType", active=False)
        | {"extra_ips": [{"ip": "192.168.90.2", "netmask": 24}]},
        _network("gsm_tesla_internal_default", "GsmType")
        | {"dhcp": None, "iface_network_info": _interface("gsm_tesla_internal_default", "GsmType", 63, "")},
        _network(wifi, "WifiType", primary=True)
        | {
            "security_type": "WPA2_Personal",
            "username": "",
            "iface_network_info": _interface(wifi, "WifiType", signal, "02:00:5e:00:53:17"),
        },
    ]


def _network(name: str, interface: str, active: bool = True, primary: bool = False) -> dict[str, Any]:
    return {
        "network_name": name,
        "interface": interface,
        "dhcp": True,
        "enabled": True,
        "active": active,
        "primary": primary,
        "lastTeslaConnected": primary,
        "lastInternetConnected": primary,
    }


def _interface(name: str, interface: str, signal: int, hardware: str) -> dict[str, Any]:
    return {
        "network_name": name,
        "ip_networks": [{"IP": "192.0.2.37", "Mask": "////AA=="}],
        "gateway": "192.0.2.1",
        "interface": interface,
        "state": "DeviceStateReady",
        "state_reason": "DeviceStateReasonNone",
        "signal_strength": signal,
        "hw_address": hardware,
    }


def powerwalls(moment: Moment) -> dict[str, Any]:
    """``powerwalls``; the checks fail while the site master runs, and mean nothing."""
    return {
        "enumerating": False,
        "updating": False,
        "checking_if_offgrid": False,
        "running_phase_detection": False,
        "phase_detection_last_error": "no phase information",
        "bubble_shedding": False,
        "on_grid_check_error": "run sitemanager flag enabled",
        "grid_qualifying": False,
        "grid_code_validating": False,
        "phase_detection_not_available": True,
        "powerwalls": [
            {
                "Type": "",
                "PackagePartNumber": pack.part,
                "PackageSerialNumber": pack.serial,
                "type": "SolarPowerwall" if pack.part.startswith("2012170") else "ACPW",
                "grid_state": "Grid_Uncompliant",
                "grid_reconnection_time_seconds": 0,
                "under_phase_detection": False,
                "updating": False,
                "commissioning_diagnostic": _diagnostic("Commissioning", "CAN connectivity"),
                "update_diagnostic": _diagnostic("Firmware Update", "Powerwall firmware"),
                "bc_type": None,
                "in_config": True,
            }
            for pack in moment.site.packs
        ],
        "gateway_din": moment.din,
        "sync": {
            "updating": False,
            "commissioning_diagnostic": _diagnostic("Commissioning", "CAN connectivity"),
            "update_diagnostic": _diagnostic("Firmware Update", "Synchronizer firmware"),
        },
        "msa": None,
        "states": None,
    }


def _diagnostic(name: str, check: str) -> dict[str, Any]:
    return {
        "name": name,
        "category": "InternalComms",
        "disruptive": False,
        "inputs": None,
        "checks": [
            {
                "name": check,
                "status": "fail",
                "message": "Cannot perform this action with site controller running.",
                "results": {},
                "debug": {},
                "checks": None,
            }
        ],
        "alert": False,
    }


def update_status(moment: Moment) -> dict[str, Any]:
    """``system/update/status``; times in milliseconds."""
    return {
        "state": "/update_succeeded",
        "info": {"status": ["nonactionable"]},
        "current_time": int(moment.time * 1000.0),
        "last_status_time": int((moment.time - 1_843.0) * 1000.0),
        "version": moment.profile.version,
        "offline_updating": False,
        "offline_update_error": "",
        "estimated_bytes_per_second": None,
    }


def solars(moment: Moment) -> list[dict[str, Any]]:
    """``solars``."""
    brand, model = (
        ("Tesla", "Solar Inverter 7.6") if moment.plus else ("SolarEdge Technologies", "SE6000H-US (240V)")
    )
    return [{"brand": brand, "model": model, "power_rating_watts": round(moment.profile.solar_peak)}]


def generators(_moment: Moment) -> dict[str, Any]:
    """``generators``: there is none."""
    return {"disconnect_type": "None", "generators": []}


def registration(_moment: Moment) -> dict[str, Any]:
    """``customer/registration``."""
    return {
        "privacy_notice": True,
        "limited_warranty": True,
        "grid_services": None,
        "marketing": False,
        "registered": True,
        "timed_out_registration": False,
    }


def problems(_moment: Moment) -> dict[str, Any]:
    """``troubleshooting/problems``: there are none."""
    return {"problems": []}


def meters_status(_moment: Moment) -> dict[str, Any]:
    """``meters/status``."""
    return {"status": "", "errors": None}
