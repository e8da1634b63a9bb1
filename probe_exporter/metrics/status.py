"""Metrics of the gateway itself: identity, uptime, site master, operation, problems, firmware update, registration."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probe_exporter.metrics.catalogue import Family, Sample, one, state_set
from probe_exporter.readings import Readings
from probe_exporter.readings.status import (
    OPERATION_MODES,
    SITEMASTER_STATES,
    UPDATE_STATES,
    Operation,
    SiteMaster,
    Status,
    UpdateStatus,
)

_MINUTE = " Up to 60 s old."
_TEN_MINUTES = " Up to 10 min old."
_OWNER_API = "Powerwall 2 and Powerwall+; not Powerwall 3"


def _status(
    name: str, documentation: str, value: Callable[[Status], float | None], hardware: str = _OWNER_API
) -> Family:
    """A family without labels from ``status``."""

    def read(readings: Readings) -> Iterable[Sample]:
        return () if readings.status is None else one(value(readings.status))

    return Family(name, "gauge", documentation + _MINUTE, "status", read, hardware=hardware)


def _sitemaster(
    name: str, documentation: str, value: Callable[[SiteMaster], float | None], hardware: str = _OWNER_API
) -> Family:
    """A family without labels from ``sitemaster``."""

    def read(readings: Readings) -> Iterable[Sample]:
        return () if readings.sitemaster is None else one(value(readings.sitemaster))

    return Family(name, "gauge", documentation + _MINUTE, "sitemaster", read, hardware=hardware)


def _operation(
    name: str, documentation: str, value: Callable[[Operation], float | None], hardware: str = _OWNER_API
) -> Family:
    """A family without labels from ``operation``."""

    def read(readings: Readings) -> Iterable[Sample]:
        return () if readings.operation is None else one(value(readings.operation))

    return Family(name, "gauge", documentation + _MINUTE, "operation", read, hardware=hardware)


def _update(name: str, documentation: str, value: Callable[[UpdateStatus], float | None]) -> Family:
    """A family without labels from ``system/update/status``, which says no more than its state in 1.x."""

    def read(readings: Readings) -> Iterable[Sample]:
        return () if readings.update_status is None else one(value(readings.update_status))

    return Family(
        name,
        "gauge",
        documentation + _TEN_MINUTES,
        "system/update/status",
        read,
        collector="site",
        hardware=f"{_OWNER_API}; firmware 21 and later",
    )


def _info(readings: Readings) -> Iterable[Sample]:
    status = readings.status
    if status is not None and (status.version or status.git_hash):
        yield (status.version or "", status.git_hash or ""), 1.0


def _gateway_info(readings: Readings) -> Iterable[Sample]:
    status = readings.status
    if status is None:
        return
    part_number, _, serial = (status.din or "").partition("--")
    labels = (
        status.din or "",
        part_number if serial else "",
        serial,
        status.device_type or "",
        status.teg_type or "",
        status.sync_type or "",
        status.leader or "",
    )
    if any(labels):
        yield labels, 1.0


def _version_parts(readings: Readings) -> Iterable[Sample]:
    if readings.status is not None:
        for part, number in zip(("major", "minor", "patch"), readings.status.version_parts, strict=False):
            yield (part,), number


def _busy(readings: Readings) -> Iterable[Sample]:
    if readings.sitemaster is not None and readings.sitemaster.busy_reason:
        yield (readings.sitemaster.busy_reason,), 1.0


def _sitemaster_status(readings: Readings) -> Iterable[Sample]:
    return () if readings.sitemaster is None else state_set(readings.sitemaster.state, SITEMASTER_STATES)


def _mode(readings: Readings) -> Iterable[Sample]:
    if readings.operation is not None and readings.operation.mode:
        yield (readings.operation.mode,), 1.0


def _mode_state(readings: Readings) -> Iterable[Sample]:
    return () if readings.operation is None else state_set(readings.operation.mode, OPERATION_MODES)


def _problems(readings: Readings) -> Iterable[Sample]:
    return () if readings.problems is None else one(readings.problems.count)


def _update_state(readings: Readings) -> Iterable[Sample]:
    return () if readings.update_status is None else state_set(readings.update_status.state, UPDATE_STATES)


def _update_info(readings: Readings) -> Iterable[Sample]:
    update = readings.update_status
    if update is not None and (update.version or update.details):
        yield (update.version or "", update.details), 1.0


def _registered(readings: Readings) -> Iterable[Sample]:
    return () if readings.registration is None else one(readings.registration.registered)


FAMILIES: tuple[Family, ...] = (
    Family(
        "powerwall_info",
        "gauge",
        "Firmware of the gateway (status: version, git_hash), always 1." + _MINUTE,
        "status",
        _info,
        ("version", "git_hash"),
        hardware=_OWNER_API,
    ),
    _status(
        "powerwall_uptime_seconds",
        "Seconds since the gateway's software started (status: up_time_seconds).",
        lambda status: status.uptime,
    ),
    _status(
        "powerwall_commission_count",
        "Changes of the configuration since the last reboot (status: commission_count); may fall.",
        lambda status: status.commission_count,
        hardware=f"{_OWNER_API}; firmware 1.50 and later",
    ),
    Family(
        "powerwall_gateway_info",
        "gauge",
        "Identity of the gateway (status: din, device_type, teg_type, sync_type, leader), always 1. The DIN is "
        "part number and serial; device_type is hec for a first gateway, teg for a second one." + _MINUTE,
        "status",
        _gateway_info,
        ("din", "part_number", "serial", "device_type", "teg_type", "sync_type", "leader"),
        hardware=f"{_OWNER_API}; firmware 1.50 and later, DIN 20.49 and later",
    ),
    _status(
        "powerwall_start_time_seconds",
        "When the gateway's software started, in Unix seconds: the time of reading less status: up_time_seconds, "
        "rounded to whole seconds, so it may waver by one.",
        lambda status: status.start_time,
    ),
    _status(
        "powerwall_gateway_is_new",
        "Whether the gateway was not commissioned yet (status: is_new), 0 or 1.",
        lambda status: status.is_new,
    ),
    _status(
        "powerwall_gateway_cellular_disabled",
        "Whether the cellular modem is disabled (status: cellular_disabled), 0 or 1.",
        lambda status: status.cellular_disabled,
        hardware=f"{_OWNER_API}; firmware 20.49 and later",
    ),
    _status(
        "powerwall_gateway_followers",
        "How many gateways follow this one (status: followers); no sample where the gateway has no list.",
        lambda status: status.followers,
        hardware=f"{_OWNER_API}; several gateways, firmware 20.49 to 22.x",
    ),
    Family(
        "powerwall_firmware_version_part",
        "gauge",
        "The version of the firmware in numbers (status: version), 23.28.2 being major 23, minor 28, patch 2; "
        "no patch where the version has none." + _MINUTE,
        "status",
        _version_parts,
        ("part",),
        hardware=_OWNER_API,
    ),
    _sitemaster(
        "powerwall_sitemaster_running",
        "Whether the site master runs (sitemaster: running), 0 or 1. While it is stopped the gateway gives neither "
        "power nor charge.",
        lambda sitemaster: sitemaster.running,
    ),
    _sitemaster(
        "powerwall_sitemaster_connected",
        "Whether the site master is connected to Tesla (sitemaster: connected_to_tesla), 0 or 1.",
        lambda sitemaster: sitemaster.connected,
    ),
    _sitemaster(
        "powerwall_power_supply_mode",
        "Whether the site master is in power supply mode, backup without a certified grid connection (sitemaster: "
        "power_supply_mode), 0 or 1.",
        lambda sitemaster: sitemaster.power_supply_mode,
        hardware=f"{_OWNER_API}; firmware 1.50 and later",
    ),
    Family(
        "powerwall_sitemaster_busy",
        "gauge",
        "Why the site master must not be interrupted now (sitemaster: can_reboot), always 1; no sample where it may "
        "be, or gives no reason." + _MINUTE,
        "sitemaster",
        _busy,
        ("reason",),
        hardware=f"{_OWNER_API}; firmware 20.49 and later",
    ),
    Family(
        "powerwall_sitemaster_status",
        "gauge",
        "State set of the site master (sitemaster: status)." + _MINUTE,
        "sitemaster",
        _sitemaster_status,
        ("state",),
        hardware=f"{_OWNER_API}; firmware 1.50 and later",
    ),
    _sitemaster(
        "powerwall_reboot_allowed",
        "Whether the gateway may be rebooted now (sitemaster: can_reboot is Yes), 0 or 1; no sample while the site "
        "master is stopped.",
        lambda sitemaster: sitemaster.reboot_allowed,
        hardware=f"{_OWNER_API}; firmware 20.49 and later",
    ),
    _operation(
        "powerwall_reserve_ratio",
        "Charge reserved for backup as a ratio of the whole pack (operation: backup_reserve_percent).",
        lambda operation: operation.reserve,
    ),
    _operation(
        "powerwall_reserve_app_ratio",
        "Charge reserved for backup as Tesla's app shows it (operation: backup_reserve_percent; the app hides the "
        "lowest 5 % of the pack), a ratio between 0 and 1.",
        lambda operation: operation.app_reserve,
    ),
    Family(
        "powerwall_operation_mode",
        "gauge",
        "The mode of operation (operation: real_mode, in 1.x mode), one sample of 1." + _MINUTE,
        "operation",
        _mode,
        ("mode",),
        hardware=_OWNER_API,
    ),
    Family(
        "powerwall_operation_mode_state",
        "gauge",
        "State set of the mode of operation (operation: real_mode, in 1.x mode); autonomous is time-based control."
        + _MINUTE,
        "operation",
        _mode_state,
        ("state",),
        hardware=_OWNER_API,
    ),
    _operation(
        "powerwall_freq_shift_load_shed_charge_ratio",
        "Charge below which the frequency is shifted off grid, so that loads shed themselves (operation: "
        "freq_shift_load_shed_soe), as a ratio of the whole pack.",
        lambda operation: operation.load_shed_charge,
        hardware=f"{_OWNER_API}; firmware 1.50 and later",
    ),
    _operation(
        "powerwall_freq_shift_load_shed_delta_hertz",
        "By how much the frequency is then shifted, in Hz, negative is down (operation: freq_shift_load_shed_delta_f).",
        lambda operation: operation.load_shed_frequency_delta,
        hardware=f"{_OWNER_API}; firmware 1.50 and later",
    ),
    Family(
        "powerwall_problems_detected_count",
        "gauge",
        "How many problems the gateway has detected (troubleshooting/problems: problems)." + _TEN_MINUTES,
        "troubleshooting/problems",
        _problems,
        hardware=f"{_OWNER_API}; firmware 20 and later, gone in some releases from 23.44",
    ),
    Family(
        "powerwall_update_state",
        "gauge",
        "State set of the firmware update (system/update/status: state, info, offline_updating). A failed update "
        "that is nonactionable counts as idle: there is nothing to do." + _TEN_MINUTES,
        "system/update/status",
        _update_state,
        ("state",),
        collector="site",
        hardware=_OWNER_API,
    ),
    Family(
        "powerwall_update_info",
        "gauge",
        "Version and status words of the firmware update (system/update/status: version, info.status), always 1."
        + _TEN_MINUTES,
        "system/update/status",
        _update_info,
        ("version", "status"),
        collector="site",
        hardware=_OWNER_API,
    ),
    _update(
        "powerwall_update_last_check_timestamp_seconds",
        "When the gateway last looked for an update, by its own clock, in Unix seconds (system/update/status: "
        "last_status_time).",
        lambda update: update.last_check,
    ),
    _update(
        "powerwall_update_offline_updating",
        "Whether an offline update is running (system/update/status: offline_updating), 0 or 1.",
        lambda update: update.offline_updating,
    ),
    _update(
        "powerwall_update_download_bytes_per_second",
        "Speed of the download of an update in bytes per second (system/update/status: estimated_bytes_per_second); "
        "no sample while nothing is downloaded.",
        lambda update: update.download_speed,
    ),
    Family(
        "powerwall_customer_registered",
        "gauge",
        "Whether the owner has registered the system (customer/registration: registered), 0 or 1."
        + _TEN_MINUTES,
        "customer/registration",
        _registered,
        collector="site",
        hardware=_OWNER_API,
    ),
)
