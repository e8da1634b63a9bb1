"""The gateway itself: identity and uptime, site master, operation, problems, firmware update, registration."""

from __future__ import annotations

import re
from dataclasses import dataclass

from probe_exporter.readings.app_scale import app_ratio
from probe_exporter.readings.payload import Payload, clean

OPERATION_MODES = ("self_consumption", "autonomous", "backup", "scheduler", "site_control", "direct")
SITEMASTER_STATES = ("StatusUp", "StatusDown")
UPDATE_STATES = ("idle", "up to date", "checking", "download", "downloaded", "staged", "updating", "failed")

_UPDATE_WORDS = {
    "/clear_update_status": "checking",
    "/update_unknown": "idle",
    "/download": "download",
    "/update_downloaded": "downloaded",
    "/update_staged": "staged",
    "/update_succeeded": "up to date",
    "/update_failed": "failed",
}
_NOTHING_TO_DO = "nonactionable"
_REBOOT_ALLOWED = "Yes"
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,9}))?")


@dataclass(frozen=True, slots=True)
class Status:
    """The identity of the gateway. ``uptime`` in seconds, ``start_time`` in Unix seconds.

    ``version_parts`` are major, minor and, where the version has one, patch.
    """

    din: str | None
    version: str | None
    version_parts: tuple[float, ...]
    git_hash: str | None
    uptime: float | None
    start_time: float | None
    commission_count: float | None
    device_type: str | None
    teg_type: str | None
    sync_type: str | None
    leader: str | None
    followers: float | None
    is_new: bool | None
    cellular_disabled: bool | None

    def before(self, major: int) -> bool:
        """Return True if the version is known, and its major number is below ``major``."""
        return bool(self.version_parts) and self.version_parts[0] < major


def parse_status(payload: Payload, read_at: float) -> Status:
    """The start is calculated from the uptime: ``start_time`` has a zone offset that is wrong everywhere."""
    version = payload.text("version")
    uptime = payload.duration("up_time_seconds")
    return Status(
        din=payload.text("din"),
        version=version,
        version_parts=version_parts(version),
        git_hash=payload.text("git_hash"),
        uptime=uptime,
        start_time=None if uptime is None else float(round(read_at - uptime)),
        commission_count=payload.number("commission_count"),
        device_type=payload.text("device_type"),
        teg_type=payload.text("teg_type"),
        sync_type=payload.text("sync_type"),
        leader=payload.text("leader"),
        followers=payload.length("followers"),
        is_new=payload.flag("is_new"),
        cellular_disabled=payload.flag("cellular_disabled"),
    )


def version_parts(version: str | None) -> tuple[float, ...]:
    match = _VERSION.match(version or "")
    return tuple(float(part) for part in match.groups() if part is not None) if match else ()


@dataclass(frozen=True, slots=True)
class SiteMaster:
    """The process that controls the batteries. ``busy_reason`` is why it must not be interrupted now.

    A stopped site master does not report on a reboot: then ``reboot_allowed`` and ``busy_reason`` are None.
    """

    state: str | None
    running: bool | None
    connected: bool | None
    power_supply_mode: bool | None
    reboot_allowed: bool | None
    busy_reason: str | None


def parse_sitemaster(payload: Payload, read_at: float) -> SiteMaster:
    """1.x has no status, and an uptime that is broken text (``802459s,``): it is not read."""
    can_reboot = payload.text("can_reboot") or None
    allowed = None if can_reboot is None else can_reboot == _REBOOT_ALLOWED
    return SiteMaster(
        state=payload.word("status", SITEMASTER_STATES),
        running=payload.flag("running"),
        connected=payload.flag("connected_to_tesla"),
        power_supply_mode=payload.flag("power_supply_mode"),
        reboot_allowed=allowed,
        busy_reason=None if allowed else can_reboot,
    )


@dataclass(frozen=True, slots=True)
class Operation:
    """The mode of operation and the backup reserve. Ratios of the whole pack, ``app_reserve`` as the app shows it.

    ``load_shed_frequency_delta`` is in Hz.
    """

    mode: str | None
    reserve: float | None
    app_reserve: float | None
    load_shed_charge: float | None
    load_shed_frequency_delta: float | None


def parse_operation(payload: Payload, read_at: float) -> Operation:
    """1.x calls the mode ``mode``."""
    return Operation(
        mode=payload.word("real_mode", OPERATION_MODES) or payload.word("mode", OPERATION_MODES),
        reserve=payload.ratio("backup_reserve_percent"),
        app_reserve=app_ratio(payload.number("backup_reserve_percent")),
        load_shed_charge=payload.ratio("freq_shift_load_shed_soe"),
        load_shed_frequency_delta=payload.number("freq_shift_load_shed_delta_f"),
    )


@dataclass(frozen=True, slots=True)
class Problems:
    """The number of problems that the gateway has found, and their names."""

    count: float | None
    names: tuple[str, ...]


def parse_problems(payload: Payload, read_at: float) -> Problems:
    """An entry is a name, such as ``SiteShutdownExternalSwitch``; one of another form only counts."""
    names = (name for name in payload.texts("problems") if name)
    return Problems(count=payload.length("problems"), names=tuple(dict.fromkeys(names)))


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """The firmware update. ``state`` is one of `UPDATE_STATES` or an unknown word of the gateway.

    ``details`` are words with commas between, ``last_check`` in Unix seconds, ``download_speed`` in bytes per second.
    """

    state: str | None
    version: str | None
    details: str
    last_check: float | None
    offline_updating: bool | None
    download_speed: float | None


def parse_update_status(payload: Payload, read_at: float) -> UpdateStatus:
    """1.x has only the state and its details."""
    details = payload.child("info").texts("status")
    offline_updating = payload.flag("offline_updating")
    word = payload.word("state", tuple(_UPDATE_WORDS))
    return UpdateStatus(
        state="updating" if offline_updating else _update_state(word, details),
        version=payload.text("version"),
        details=clean(",".join(details)),
        last_check=payload.moment("last_status_time"),
        offline_updating=offline_updating,
        download_speed=payload.number("estimated_bytes_per_second"),
    )


def _update_state(word: str | None, details: tuple[str, ...]) -> str | None:
    """A failed update that is "nonactionable" only means that there is nothing to do (1.x to 23.x)."""
    if word is None:
        return None
    state = _UPDATE_WORDS.get(word, word)
    return "idle" if state == "failed" and _NOTHING_TO_DO in details else state


@dataclass(frozen=True, slots=True)
class Registration:
    """The registration of the system by its owner."""

    registered: bool | None


def parse_registration(payload: Payload, read_at: float) -> Registration:
    """The consents beside it are private, and are not read."""
    return Registration(registered=payload.flag("registered"))
