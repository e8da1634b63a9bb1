"""Holds on disk, so that a restart does not publish what is held back.

One small file for each gateway, readable by its owner only, written atomically when a hold begins or ends. A file that
is damaged is ignored.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from probe_exporter.clock import Clock
from probe_exporter.files import Write, read_regular, write_now
from probe_exporter.metrics.guard.rules import Doubt, Hold, Key, Past, opposite

log = logging.getLogger(__name__)

_FORMAT: Final = 1
_MAX_BYTES: Final = 1 << 20
_MAX_HOLDS: Final = 2000


@dataclass(frozen=True, slots=True)
class HoldStore:
    """Keeps the holds of one gateway, known by its name and addresses, in ``directory``.

    Times on disk are Unix seconds. The time between two starts is the difference of the wall clock, never less than 0:
    a machine without a battery for its clock may start in the past.
    """

    directory: Path
    clock: Clock
    name: str
    addresses: tuple[str, ...]
    write: Write = write_now

    def load(self) -> dict[Key, Past]:
        """The counters that were held back; none where nothing usable is saved."""
        path = self._path()
        try:
            saved = json.loads(read_regular(path, _MAX_BYTES))
            if saved["format"] != _FORMAT:
                return {}
            found: dict[Key, Past] = {}
            for entry in _list(saved["holds"])[:_MAX_HOLDS]:
                self._restore(entry, found)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning(
                "%s: the counters held back are forgotten: %s is not usable (%s)",
                self.name,
                path,
                type(error).__name__,
            )
            return {}
        return found

    def save(self, held: Mapping[Key, Past], opposites_began_anew: Mapping[Key, float | None]) -> None:
        """Save atomically what is held back now. A failure is logged, never raised: a probe does not depend on it."""
        shift = self.clock.time() - self.clock.monotonic()
        entries = []
        for (family, labels), past in held.items():
            hold, anew = past.hold, opposites_began_anew.get((family, labels))
            assert hold is not None, "only what is held is saved"
            entries.append(
                {
                    "family": family,
                    "labels": labels,
                    "doubt": hold.doubt.name,
                    "began": hold.began + shift,
                    "told": hold.told,
                    "shown": past.shown,
                    "shown_at": past.shown_at + shift,
                    "opposite_began_anew": None if anew is None else anew + shift,
                }
            )
        document = {"format": _FORMAT, "holds": entries}

        def written(error: OSError | None) -> None:
            if error is not None:
                log.warning(
                    "%s: the counters held back cannot be saved in %s: %s",
                    self.name,
                    self.directory,
                    error.strerror,
                )

        self.write(self._path(), json.dumps(document).encode("ascii"), written)

    def _path(self) -> Path:
        """Named after a hash: a gateway's name may hold anything, even a slash."""
        known_by = json.dumps([self.name, *self.addresses]).encode("ascii")
        return self.directory / f"counters-{hashlib.sha256(known_by).hexdigest()[:32]}.json"

    def _restore(self, entry: object, found: dict[Key, Past]) -> None:
        """Raises KeyError, TypeError or ValueError for what `save` did not write."""
        if not isinstance(entry, dict):
            raise TypeError("entry")
        now, wall = self.clock.monotonic(), self.clock.time()

        def moment(value: object) -> float:
            return now - max(0.0, wall - _number(value))

        key: Key = (_text(entry["family"]), tuple(_text(label) for label in _list(entry["labels"])))
        hold = Hold(Doubt[_text(entry["doubt"])], moment(entry["began"]), told=entry["told"] is True)
        shown, anew, other = entry["shown"], entry["opposite_began_anew"], opposite(key)
        found[key] = Past(
            None if shown is None else _number(shown),
            moment(entry["shown_at"]),
            now,
            hold,
            found[key].began_anew if key in found else None,
        )
        if other is not None and anew is not None:
            found.setdefault(other, Past()).began_anew = moment(anew)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value


def _number(value: object) -> float:
    """Raises ValueError for what is not a finite number; 1e30 J is more than any meter counts."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e30:
        raise ValueError("number")
    return float(value)
