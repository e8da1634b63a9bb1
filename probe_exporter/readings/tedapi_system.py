"""TEDAPI's system information: the identity of the gateway, its firmware, and an update under way. Base units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from probe_exporter.readings.payload import Payload
from probe_exporter.readings.status import version_parts

_UPDATE_WORDS: Final = {1: "idle", 2: "download", 3: "downloaded", 4: "staged"}


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """The gateway and its firmware. ``update_state`` is one of the words of `status.UPDATE_STATES`.

    Sizes in bytes, the speed in bytes per second, ``last_check`` in Unix seconds.
    """

    din: str | None
    version: str | None
    version_parts: tuple[float, ...]
    git_hash: str | None
    update_state: str | None
    staged_version: str
    last_check: float | None
    size: float | None
    downloaded: float | None
    download_speed: float | None


def parse_system_info(payload: Payload, read_at: float) -> SystemInfo:
    """The version has a part of the git hash behind a blank (``26.10.3 4f924de8``), as in the owner interface."""
    version = payload.text("version") or None
    update = payload.child("update")
    state = _UPDATE_WORDS.get(int(update.number("status") or 0))
    size = update.number("totalBytes") or None
    return SystemInfo(
        din=payload.text("din") if version else None,
        version=version,
        version_parts=version_parts(version),
        git_hash=payload.text("gitHash") or None,
        update_state=state,
        staged_version=update.text("stagedVersion") or "",
        last_check=update.number("lastHandshakeTimestamp") or None,
        size=size,
        downloaded=update.number("bytesOffset") if size else None,
        download_speed=update.number("estimatedBytesPerSecond") if state == "download" else None,
    )
