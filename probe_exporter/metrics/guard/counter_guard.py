"""The guard of one gateway: judges each answer's counters together, logs holds, and saves them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Final

from probe_exporter.durations import format_duration
from probe_exporter.metrics.catalogue import Family
from probe_exporter.metrics.guard.holds import HoldStore
from probe_exporter.metrics.guard.rules import (
    KWH,
    LONGEST,
    PATIENCE,
    RULES,
    SOURCES,
    Doubt,
    Evidence,
    Hold,
    Key,
    Past,
    doubt,
    follow,
    opposite,
    spreads,
)
from probe_exporter.readings import Readings

log = logging.getLogger(__name__)

Line = tuple[int, Key, str]
"""A line for the log: its level, the counter, and what happened to it."""

MAX_SERIES: Final = 2000

MAX_LINES: Final = 20
"""Lines in the log for one answer."""

SAVE_INTERVAL: Final = 30.0
"""Seconds between two saves at least, where a counter flaps."""

_OVER: Final = "it was held back for seven days, and is shown as a new beginning"
_PLAUSIBLE: Final = "its reading is plausible again"


def counters(families: Iterable[Family], readings: Readings) -> dict[Key, float]:
    """Return the readings of the counters in ``families``; of equal label sets the first, which is published."""
    found: dict[Key, float] = {}
    for family in families:
        for labels, value in family.read(readings):
            if isfinite(value) and len(found) < MAX_SERIES:
                found.setdefault((family.name, labels), value)
    return found


class CounterGuard:
    """Remembers the counters of one gateway, whatever its credentials.

    ``name`` is the gateway's, for the log. With a ``store``, holds survive a restart. ``one_off`` is for a program
    that ends after one probe: there is no second reading to wait for, so a first zero is shown.
    """

    def __init__(self, name: str = "", store: HoldStore | None = None, *, one_off: bool = False) -> None:
        self._name = name
        self._store = store
        self._one_off = one_off
        self._lock = threading.Lock()
        self._past: dict[Key, Past] = store.load() if store else {}
        self._unsaved = False
        self._saved_at = -SAVE_INTERVAL

    def judge(self, readings: Mapping[Key, float], at: float, uptime: float | None = None) -> frozenset[Key]:
        """The counters of one answer that are to be held back.

        ``readings`` are all counters of the answer, in joules, and ``at`` is when it arrived, in monotonic seconds.
        ``uptime`` is the gateway's in seconds, None where it is unknown, or not read yet: the same answer may be judged
        again, with the same ``at``, once the uptime is known.
        """
        with self._lock:
            doubts = {key: self._doubt(key, value, at, uptime) for key, value in readings.items()}
            for key in SOURCES.keys() & readings.keys():
                if self._source_is_held(key, readings, doubts, at):
                    doubts[key] = Doubt.SOURCE
            lines: list[Line] = []
            for key, value in readings.items():
                lines += self._settle(key, value, at, doubts[key])
            self._tell(lines)
            self._forget_the_oldest()
            if self._unsaved and at - self._saved_at >= SAVE_INTERVAL:
                self._save(at)
        return frozenset(key for key, reason in doubts.items() if reason is not None)

    def close(self) -> None:
        """Save what is not saved yet."""
        with self._lock:
            if self._unsaved:
                self._save(self._saved_at)

    # Judging

    def _doubt(self, key: Key, value: float, at: float, uptime: float | None) -> Doubt | None:
        """Return the doubt about this reading itself, None if there is none."""
        past = self._past.pop(key, None) or Past()
        self._past[key] = past  # the most recently seen are last
        reason = doubt(past, value, at, derived=key in SOURCES)
        if reason is None:
            if past.hold is not None:
                past.hold.course = None
            return None
        if reason is Doubt.FIRST_ZERO and self._one_off:
            return None
        hold = past.hold or Hold(reason, at)
        hold.course = follow(hold.course, past, value, at)
        other = self._past.get(opposite(key) or key)
        evidence = Evidence(value, at, uptime, hold, None if other is None else other.began_anew)
        if evidence.is_over or RULES[reason].believed(evidence):
            return None
        past.hold = hold
        return reason

    def _source_is_held(
        self, key: Key, readings: Mapping[Key, float], doubts: Mapping[Key, Doubt | None], at: float
    ) -> bool:
        """Return True if the gateway derives this counter from one that must not be believed now."""
        for source in SOURCES[key]:
            if source not in readings:
                past = self._past.get(source)
                if past is not None and past.shown is not None and at - past.read_at < LONGEST:
                    return True
                continue
            reason = doubts[source]
            if reason is None:
                continue
            other = opposite(source)
            across = readings.get(other, 0.0) if other else 0.0
            if spreads(self._past[source], reason, readings[source], across):
                return True
        return False

    # Remembering

    def _settle(self, key: Key, value: float, at: float, reason: Doubt | None) -> Iterable[Line]:
        """Remember the outcome of a reading. Return the lines for the log."""
        past = self._past[key]
        past.read_at = at
        if reason is not None:
            return self._hold(key, past, value, at, reason)
        lines = self._release(key, past, value, at) if past.hold is not None else ()
        past.shown, past.shown_at, past.hold = value, at, None
        return lines

    def _hold(self, key: Key, past: Past, value: float, at: float, reason: Doubt) -> Iterable[Line]:
        hold = past.hold
        if hold is None:
            hold = past.hold = Hold(reason, at)
        hold.doubt = reason
        if reason is Doubt.BELOW_ZERO and at - hold.began >= LONGEST:
            past.shown = None  # a value that was shown a week ago no longer counts
        # A first zero mostly ends with the gateway's uptime, a moment later; a counter that flaps is logged once.
        earliest = hold.began + 1.0 if reason is Doubt.FIRST_ZERO else hold.began
        if at < past.quiet_until:
            earliest = max(earliest, hold.began + PATIENCE)
        if hold.told or at < earliest:
            self._unsaved |= at == hold.began and reason is not Doubt.FIRST_ZERO
            return ()
        hold.told = self._unsaved = True
        level = logging.WARNING if reason is Doubt.BELOW_ZERO else logging.INFO
        before = "" if past.shown is None else f"; it was at {past.shown / KWH:.3f} kWh"
        text = f"is held back at {value / KWH:.3f} kWh: {RULES[reason].reason}{before}"
        return ((level, key, text),)

    def _release(self, key: Key, past: Past, value: float, at: float) -> Iterable[Line]:
        hold = past.hold
        assert hold is not None, "only what is held can be released"
        reason = doubt(past, value, at, derived=key in SOURCES)
        if reason is None:
            ending = _PLAUSIBLE
            past.quiet_until = at + PATIENCE
        else:
            over = at - hold.began >= LONGEST
            ending = _OVER if over else RULES[reason].ending
            if reason is not Doubt.RISE:
                steady = hold.course.since if hold.course is not None else None
                past.began_anew = at if steady is None else steady
        if not hold.told:
            self._unsaved |= hold.doubt is not Doubt.FIRST_ZERO
            return ()
        self._unsaved = True
        text = f"is shown again at {value / KWH:.3f} kWh after {format_duration(round(at - hold.began))}: {ending}"
        return ((logging.INFO, key, text),)

    def _forget_the_oldest(self) -> None:
        while len(self._past) > MAX_SERIES:
            del self._past[next(iter(self._past))]

    # Telling

    def _tell(self, lines: list[Line]) -> None:
        for level, (family, labels), text in lines[:MAX_LINES]:
            log.log(level, "%s: %s of %s %s", self._name, family, ", ".join(labels), text)
        if len(lines) > MAX_LINES:
            log.info("%s: the same applies to %d more counters", self._name, len(lines) - MAX_LINES)

    def _save(self, at: float) -> None:
        self._unsaved, self._saved_at = False, at
        if self._store is None:
            return
        held = {
            key: past
            for key, past in self._past.items()
            if past.hold is not None and past.hold.is_worth_keeping
        }
        others = {key: self._past.get(opposite(key) or key) for key in held}
        self._store.save(held, {key: other.began_anew for key, other in others.items() if other is not None})
