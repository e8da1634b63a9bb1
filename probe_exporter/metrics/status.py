"""Metrics of the gateway itself: identity, uptime, site master, operation, problems, firmware update, registration."""

from __future__ import annotations

from collections.abc import Iterable

from probe_exporter.metrics.catalogue import Family, Sample
from probe_exporter.metrics.source import MINUTE, OWNER_API, TEN_MINUTES, Source
from probe_exporter.readings import Readings
from probe_exporter.readings.status import (
    OPERATION_MODES,
    SITEMASTER_STATES,
    UPDATE_STATES,
    Status,
    UpdateStatus,
)

_STATUS = Source("status", lambda readings: readings.status, MINUTE)
_SITEMASTER = Source("sitemaster", lambda readings: readings.sitemaster, MINUTE)
_OPERATION = Source("operation", lambda readings: readings.operation, MINUTE)
_PROBLEMS = Source("troubleshooting/problems", lambda readings: readings.problems, TEN_MINUTES)
_UPDATE = Source("system/update/status", lambda readings: readings.update_status, TEN_MINUTES, "site")
_REGISTRATION = Source("customer/registration", lambda readings: readings.registration, TEN_MINUTES, "site")

_SINCE_1_50 = f"{OWNER_API}; firmware 1.50 and later"
_SINCE_20_49 = f"{OWNER_API}; firmware 20.49 and later"
_SINCE_21 = f"{OWNER_API}; firmware 21 and later"
_PROBLEMS_SINCE = f"{OWNER_API}; firmware 20 and later, gone in some releases from 23.44"


def _info(status: Status) -> Iterable[Sample]:
    if status.version or status.git_hash:
        yield (status.version or "", status.git_hash or ""), 1.0


def _gateway_info(readings: Readings) -> Iterable[Sample]:
    """The DIN is that of the inventory where the status has none, as up to 20.x."""
    status, inventory = readings.status, readings.powerwalls
    if status is None:
        return
    din = status.din or (inventory.gateway_din if inventory is not None else None) or ""
    part_number, _, serial = din.partition("--")
    labels = (
        din,
        part_number if serial else "",
        serial,
        status.device_type or "",
        status.teg_type or "",
        status.sync_type or "",
        status.leader or "",
    )
    if any(labels):
        yield labels, 1.0


def _version_parts(status: Status) -> Iterable[Sample]:
    for part, number in zip(("major", "minor", "patch"), status.version_parts, strict=False):
        yield (part,), number


def _update_info(update: UpdateStatus) -> Iterable[Sample]:
    if update.version or update.details:
        yield (update.version or "", update.details), 1.0


FAMILIES: tuple[Family, ...] = (
    _STATUS.samples(
        "powerwall_info",
        "Firmware of the gateway (status: version, git_hash), always 1.",
        ("version", "git_hash"),
        _info,
    ),
    _STATUS.value(
        "powerwall_uptime_seconds",
        "Seconds since the gateway's software started (status: up_time_seconds).",
        lambda status: status.uptime,
    ),
    _STATUS.value(
        "powerwall_commission_count",
        "Changes of the configuration since the last reboot (status: commission_count); may fall.",
        lambda status: status.commission_count,
        hardware=_SINCE_1_50,
    ),
    Family(
        "powerwall_gateway_info",
        "gauge",
        "Identity of the gateway (status: din, device_type, teg_type, sync_type, leader; powerwalls: gateway_din where "
        "status has no din), always 1. The DIN is part number and serial; device_type is hec for a first gateway, teg "
        f"for a second one.{MINUTE}",
        "status",
        _gateway_info,
        ("din", "part_number", "serial", "device_type", "teg_type", "sync_type", "leader"),
        hardware=f"{OWNER_API}; firmware 1.50 and later, DIN 20.49 and later",
        also=("powerwalls",),
    ),
    _STATUS.value(
        "powerwall_start_time_seconds",
        "Time when the gateway's software started, in Unix seconds: the time of reading less the uptime (status: "
        "up_time_seconds), rounded to whole seconds, so it may waver by one.",
        lambda status: status.start_time,
    ),
    _STATUS.value(
        "powerwall_gateway_is_new",
        "1 if the gateway was not commissioned yet (status: is_new), otherwise 0.",
        lambda status: status.is_new,
    ),
    _STATUS.value(
        "powerwall_gateway_cellular_disabled",
        "1 if the cellular modem is disabled (status: cellular_disabled), otherwise 0.",
        lambda status: status.cellular_disabled,
        hardware=_SINCE_20_49,
    ),
    _STATUS.value(
        "powerwall_gateway_followers",
        "Number of gateways that follow this one (status: followers); no sample where the gateway has no list.",
        lambda status: status.followers,
        hardware=f"{OWNER_API}; several gateways, firmware 20.49 to 22.x",
    ),
    _STATUS.samples(
        "powerwall_firmware_version_part",
        "The version of the firmware in numbers (status: version), 23.28.2 being major 23, minor 28, patch 2; "
        "no patch where the version has none.",
        ("part",),
        _version_parts,
    ),
    _SITEMASTER.value(
        "powerwall_sitemaster_running",
        "1 if the site master runs (sitemaster: running), otherwise 0. While it is stopped the gateway gives neither "
        "power nor charge.",
        lambda sitemaster: sitemaster.running,
    ),
    _SITEMASTER.value(
        "powerwall_sitemaster_connected",
        "1 if the site master is connected to Tesla (sitemaster: connected_to_tesla), otherwise 0.",
        lambda sitemaster: sitemaster.connected,
    ),
    _SITEMASTER.value(
        "powerwall_power_supply_mode",
        "1 if the site master is in power supply mode, backup without a certified grid connection (sitemaster: "
        "power_supply_mode), otherwise 0.",
        lambda sitemaster: sitemaster.power_supply_mode,
        hardware=_SINCE_1_50,
    ),
    _SITEMASTER.word(
        "powerwall_sitemaster_busy",
        "Why the site master must not be interrupted now (sitemaster: can_reboot), always 1; no sample where it may "
        "be, or gives no reason.",
        "reason",
        lambda sitemaster: sitemaster.busy_reason,
        hardware=_SINCE_20_49,
    ),
    _SITEMASTER.states(
        "powerwall_sitemaster_status",
        "State set of the site master (sitemaster: status).",
        lambda sitemaster: sitemaster.state,
        SITEMASTER_STATES,
        hardware=_SINCE_1_50,
    ),
    _SITEMASTER.value(
        "powerwall_reboot_allowed",
        "1 if the gateway may be rebooted now (sitemaster: can_reboot is Yes), otherwise 0; no sample while the site "
        "master is stopped.",
        lambda sitemaster: sitemaster.reboot_allowed,
        hardware=_SINCE_20_49,
    ),
    _OPERATION.value(
        "powerwall_reserve_ratio",
        "Charge reserved for backup as a ratio of the whole pack (operation: backup_reserve_percent).",
        lambda operation: operation.reserve,
    ),
    _OPERATION.value(
        "powerwall_reserve_app_ratio",
        "Charge reserved for backup as Tesla's app shows it (operation: backup_reserve_percent; the app hides the "
        "lowest 5 % of the pack), a ratio between 0 and 1.",
        lambda operation: operation.app_reserve,
    ),
    _OPERATION.word(
        "powerwall_operation_mode",
        "The mode of operation (operation: real_mode, in 1.x mode), one sample of 1.",
        "mode",
        lambda operation: operation.mode,
    ),
    _OPERATION.states(
        "powerwall_operation_mode_state",
        "State set of the mode of operation (operation: real_mode, in 1.x mode); autonomous is time-based control.",
        lambda operation: operation.mode,
        OPERATION_MODES,
    ),
    _OPERATION.value(
        "powerwall_freq_shift_load_shed_charge_ratio",
        "Charge below which the frequency is shifted off grid, so that loads shed themselves (operation: "
        "freq_shift_load_shed_soe), as a ratio of the whole pack.",
        lambda operation: operation.load_shed_charge,
        hardware=_SINCE_1_50,
    ),
    _OPERATION.value(
        "powerwall_freq_shift_load_shed_delta_hertz",
        "By how much the frequency is then shifted, in Hz, negative is down (operation: freq_shift_load_shed_delta_f).",
        lambda operation: operation.load_shed_frequency_delta,
        hardware=_SINCE_1_50,
    ),
    _PROBLEMS.value(
        "powerwall_problems_detected_count",
        "Number of problems that the gateway has detected (troubleshooting/problems: problems).",
        lambda problems: problems.count,
        hardware=_PROBLEMS_SINCE,
    ),
    _PROBLEMS.samples(
        "powerwall_problem",
        "A problem that the gateway has detected (troubleshooting/problems: problems), always 1, such as Miswired12v "
        "or SiteShutdownExternalSwitch.",
        ("problem",),
        lambda problems: (((name,), 1.0) for name in problems.names),
        hardware=_PROBLEMS_SINCE,
    ),
    _UPDATE.states(
        "powerwall_update_state",
        "State set of the firmware update (system/update/status: state, info, offline_updating). A failed update "
        "that is nonactionable counts as idle: there is nothing to do.",
        lambda update: update.state,
        UPDATE_STATES,
    ),
    _UPDATE.samples(
        "powerwall_update_info",
        "Version and status words of the firmware update (system/update/status: version, info.status), always 1.",
        ("version", "status"),
        _update_info,
    ),
    _UPDATE.value(
        "powerwall_update_last_check_timestamp_seconds",
        "Time when the gateway last looked for an update, by its own clock, in Unix seconds (system/update/status: "
        "last_status_time).",
        lambda update: update.last_check,
        hardware=_SINCE_21,
    ),
    _UPDATE.value(
        "powerwall_update_offline_updating",
        "1 if an offline update is running (system/update/status: offline_updating), otherwise 0.",
        lambda update: update.offline_updating,
        hardware=_SINCE_21,
    ),
    _UPDATE.value(
        "powerwall_update_download_bytes_per_second",
        "Speed of the download of an update in bytes per second (system/update/status: estimated_bytes_per_second); "
        "no sample while nothing is downloaded.",
        lambda update: update.download_speed,
        hardware=_SINCE_21,
    ),
    _REGISTRATION.value(
        "powerwall_customer_registered",
        "1 if the owner has registered the system (customer/registration: registered), otherwise 0.",
        lambda registration: registration.registered,
    ),
)
