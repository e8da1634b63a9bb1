"""Gateways as lines of the page of the fleet: what the last probe and the last good one brought."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from probe_exporter.fleet import Site
from probe_exporter.natural import natural
from probe_exporter.readings import Readings

UNPROBED: Final = "not probed yet"
STATES: Final = ("failing", "waiting to log in", "stopped", "ok", UNPROBED)
"""The states of a gateway, problems first; all but the last are the state after its last probe."""

REMEDIES: Final = {
    "connect": "Is the gateway on the network? Check its address; Wi-Fi drops of a minute are normal.",
    "timeout": "The gateway is slow or busy. Wi-Fi is the usual cause; Ethernet or a longer timeout helps.",
    "tls": "Another certificate than the pinned one, or no handshake. After a swap run fetchcert --force.",
    "auth": "Check the password. Since firmware 24.36 the default password is refused.",
    "rate_limited": "The gateway limits requests. Wait; is something else polling it?",
    "busy": "The gateway is in a configuration step. It passes by itself.",
    "http": "The gateway answers, but not as expected; a stopped site master does that.",
    "decode": "The answer is not usable. Is this address really a Powerwall gateway?",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A gateway. Powers in W, ``charge`` as the app shows it, ``age`` and ``failing_for`` in seconds."""

    name: str
    state: str
    off_grid: bool
    labels: tuple[tuple[str, str], ...]
    charge: float | None
    solar: float | None
    load: float | None
    battery: float | None
    grid: float | None
    age: float | None
    firmware: str
    error: str
    remedy: str
    failing_for: float | None


def row_of(site: Site) -> Row:
    """Return the line of a gateway."""
    last, good, shown = site.last, site.last_good, readings_of(site)
    powers, now = powers_of(shown), time.time()
    reason = last.reason if last is not None and last.reason else ""
    since = site.memory.failing_since
    return Row(
        name=site.name,
        state=state_of(site),
        off_grid=off_grid(site),
        labels=tuple(site.config.labels.items()),
        charge=shown.app_charge,
        solar=powers.get("solar"),
        load=powers.get("load"),
        battery=powers.get("battery"),
        grid=powers.get("site"),
        age=None if good is None else max(0.0, now - good.started - good.duration),
        firmware=(_version(shown) or "").partition(" ")[0],
        error=(last.error or "") if last else "",
        remedy=REMEDIES.get(reason, ""),
        failing_for=None if since is None else max(0.0, now - since),
    )


def order(site: Site) -> tuple[int, tuple[tuple[int, int, str], ...]]:
    """Return the place of a gateway on the page: problems first, then by name as people count."""
    state = state_of(site)
    rank = len(STATES) if state == "ok" and not off_grid(site) else STATES.index(state)
    return rank, natural(site.name)


def state_of(site: Site) -> str:
    """Return the word of the last probe."""
    return UNPROBED if site.last is None else site.last.word


def off_grid(site: Site) -> bool:
    """Return True if the last probe succeeded and the gateway reported that it is not connected to the grid."""
    grid = readings_of(site).grid_status
    return site.last is not None and site.last.success and grid is not None and grid.connected is False


def readings_of(site: Site) -> Readings:
    """Return what the last good probe brought: a gateway that is silent now still had a state."""
    shown = site.last_good or site.last
    return shown.readings if shown is not None else Readings()


def powers_of(shown: Readings) -> dict[str, float]:
    """Return watts by category, of those that have any."""
    return shown.powers


def _version(shown: Readings) -> str | None:
    """Return the version of the firmware, from either interface."""
    if shown.status is not None and shown.status.version:
        return shown.status.version
    return None if shown.tedapi_system is None else shown.tedapi_system.version
