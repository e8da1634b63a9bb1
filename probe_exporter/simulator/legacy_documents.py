"""The documents that firmware 1.x writes differently."""

from __future__ import annotations

from typing import Any

from probe_exporter.simulator import gateway_documents as gateway
from probe_exporter.simulator import power_documents as power
from probe_exporter.simulator.moment import Moment

_NEW_READINGS = (
    "instant_average_current",
    "num_meters_aggregated",
    "timeout",
    "last_phase_voltage_communication_time",
    "last_phase_power_communication_time",
    "last_phase_energy_communication_time",
)


def status(moment: Moment) -> dict[str, Any]:
    """``status`` without what came later."""
    names = ("start_time", "up_time_seconds", "is_new", "version", "git_hash")
    return {name: value for name, value in gateway.status(moment).items() if name in names}


def aggregates(moment: Moment) -> dict[str, Any]:
    """``meters/aggregates`` of Neurio meters: a coarse frequency, a plain mean voltage, no current."""
    meters = {}
    for name, meter in power.aggregates(moment).items():
        old = _without(meter, _NEW_READINGS)
        if name != "battery":
            old |= {
                "instant_average_voltage": moment.volts,
                "frequency": round(moment.hertz, 1),
                "instant_total_current": 0,
            }
        meters[name] = old
    return meters


def meters_site(moment: Moment) -> list[dict[str, Any]]:
    """``meters/site`` of a Neurio meter."""
    return [_neurio(moment, meter) for meter in power.meters_site(moment)]


def meters_solar(moment: Moment) -> list[dict[str, Any]]:
    """``meters/solar`` of a Neurio meter."""
    return [_neurio(moment, meter) for meter in power.meters_solar(moment)]


def _neurio(moment: Moment, meter: dict[str, Any]) -> dict[str, Any]:
    serial = f"VAH{4_000 + moment.site.seed:04d}AB{1_000 + moment.site.seed}"
    reading = _without(meter["Cached_readings"], _NEW_READINGS)
    reading |= {
        "instant_average_voltage": moment.volts,
        "frequency": round(moment.hertz, 1),
        "serial_number": serial,
        "version": "Tesla-0.0.6",
    }
    connection = {
        "ip_address": f"PWRview-{10_000 + moment.site.seed}",
        "port": 443,
        "short_id": str(10_000 + moment.site.seed),
        "device_serial": serial,
        "neurio_connected": True,
        "https_conf": {},
    }
    return {
        "id": 0,
        "location": meter["location"],
        "type": "neurio_tcp",
        "cts": meter["cts"],
        "inverted": meter["inverted"],
        "connection": connection,
        "Cached_readings": reading,
    }


def grid_status(moment: Moment) -> dict[str, Any]:
    """``system_status/grid_status`` without the flag of grid services."""
    return {"grid_status": moment.grid_state}


def sitemaster(moment: Moment) -> dict[str, Any]:
    """``sitemaster``; the uptime has a comma too much."""
    return {
        "running": True,
        "uptime": f"{int(moment.uptime)}s,",
        "connected_to_tesla": not moment.site.islanded,
    }


def operation(moment: Moment) -> dict[str, Any]:
    """``operation``; the mode has another name."""
    return {
        "mode": "self_consumption",
        "backup_reserve_percent": gateway.operation(moment)["backup_reserve_percent"],
    }


def site_info(moment: Moment) -> dict[str, Any]:
    """``site_info`` with the grid code as a text, its attributes beside it."""
    return {
        "max_site_meter_power_kW": 1_000_000_000,
        "min_site_meter_power_kW": -1_000_000_000,
        "nominal_system_energy_kWh": 13.5,
        "nominal_system_power_kW": sum(pack.limit for pack in moment.site.packs) / 1000.0,
        "site_name": moment.name,
        "timezone": moment.profile.timezone,
        "distributor": "*",
        "retailer": "*",
        "region": "UL1741SA",
        **moment.profile.grid_code,
    }


def networks(moment: Moment) -> list[dict[str, Any]]:
    """``networks``: the interfaces of the machine."""
    address = "192.0.2.37"
    name = f"home-{moment.site.seed}"
    config = {
        "network_name": name,
        "interface": "WifiType",
        "security_type": "WPA2_Personal",
        "dhcp": True,
        "enabled": True,
    }
    return [
        _interface(2, "can0", "", None),
        _interface(3, "eth0", "", None),
        _interface(171, "wifi0", address, config),
    ]


def _interface(number: int, name: str, address: str, config: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "connected": True,
        "is_dhcp": True,
        "ip_address": address,
        "subnet": "255.255.255.0" if address else "",
        "config": config,
    }


def update_status(moment: Moment) -> dict[str, Any]:
    """``system/update/status`` with its first three fields."""
    return _without(
        gateway.update_status(moment),
        (
            "last_status_time",
            "version",
            "offline_updating",
            "offline_update_error",
            "estimated_bytes_per_second",
        ),
    )


def _without(document: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}
