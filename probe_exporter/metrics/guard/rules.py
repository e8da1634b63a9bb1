"""The rules of the counters: when a reading is in doubt, when it is published anyway, what is held back with it.

`RULES` is the table. Energies are in joules, times in monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

Key = tuple[str, tuple[str, ...]]
"""The name of a family and the label values of a sample."""

KWH: Final = 3.6e6

SMALL: Final = KWH
"""J: a drop below it is jitter, and a rise up to it is always possible."""

NEAR_ZERO: Final = 10 * KWH
"""J: what a meter may have counted before it was installed."""

MOST_POWER: Final = 200e3
"""W: no house takes or gives more for long."""

PATIENCE: Final = 600.0
"""Seconds of steady readings after which an odd course is believed; also the longest boot of a gateway."""

LONGEST: Final = 7 * 86400.0
"""Seconds after which a hold ends, whatever the counter says."""

_DIRECTIONS: Final = (("_imported_", "_exported_"), ("_charged_", "_discharged_"))
"""The words in the names of two families that make them the opposite directions of one meter."""

_SUMS: Final = ("powerwall_imported_joules_total", "powerwall_exported_joules_total")

SOURCES: Final[Mapping[Key, tuple[Key, ...]]] = {
    (derived, ("load",)): tuple(
        (name, (category,)) for name in _SUMS for category in ("site", "battery", "solar")
    )
    for derived in _SUMS
}
"""The derivation of counters by the gateway: the load is site + battery + solar, each import less its export."""


def opposite(key: Key) -> Key | None:
    """The other direction of the same meter; None for a counter without one."""
    name, labels = key
    for pair in _DIRECTIONS:
        for here, there in (pair, pair[::-1]):
            if here in name:
                return name.replace(here, there), labels
    return None


class Doubt(Enum):
    """Why a reading is held back."""

    BELOW_ZERO = auto()
    FIRST_ZERO = auto()
    ZERO = auto()
    SMALL_DROP = auto()
    DROP = auto()
    CORRECTION = auto()
    RISE = auto()
    SOURCE = auto()


@dataclass(frozen=True, slots=True)
class Course:
    """Odd readings that follow each other, as a counter would count them.

    They have not fallen ``since`` then (None: something else came between); ``last`` is the last of them, read ``at``
    then. ``near_zero`` is true if their first one can be what a new meter counted.
    """

    since: float | None
    last: float
    at: float
    near_zero: bool

    def is_steady(self, at: float) -> bool:
        """Return True if the course has lasted long enough to be believed."""
        return self.since is not None and at - self.since >= PATIENCE


@dataclass(slots=True)
class Hold:
    """A time in which the readings of one counter are held back; the ``doubt`` may change meanwhile."""

    doubt: Doubt
    began: float
    course: Course | None = None
    told: bool = False

    @property
    def is_worth_keeping(self) -> bool:
        """Return True if it must survive a restart: after one, a first zero is a first zero again anyway."""
        return self.told or self.doubt is not Doubt.FIRST_ZERO


@dataclass(slots=True)
class Past:
    """The history of one counter.

    ``shown`` is the value that was published last, read ``shown_at`` then; None where nothing was. ``read_at`` is the
    time of the last reading of all, ``quiet_until`` that until which another short hold is not worth a line in the log.
    """

    shown: float | None = None
    shown_at: float = 0.0
    read_at: float = 0.0
    hold: Hold | None = None
    began_anew: float | None = None
    quiet_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for and against a reading. ``uptime`` is the gateway's in seconds, None where it is unknown."""

    value: float
    at: float
    uptime: float | None
    hold: Hold
    opposite_began_anew: float | None

    @property
    def may_boot(self) -> bool:
        """Return True if the gateway is known to have started a short while ago."""
        return self.uptime is not None and self.uptime < PATIENCE

    @property
    def is_over(self) -> bool:
        """Return True if the counter was held back for so long that its reading counts as a new beginning."""
        if self.value < 0.0 or (self.value == 0.0 and self.may_boot):
            return False
        return self.at - self.hold.began >= LONGEST


def doubt(past: Past, value: float, at: float, *, derived: bool) -> Doubt | None:
    """Return the doubt that a reading raises by itself, None where it is plausible."""
    if value < 0.0:
        return Doubt.BELOW_ZERO
    shown = past.shown
    if value == 0.0 and shown != 0.0:
        return Doubt.FIRST_ZERO if shown is None else Doubt.ZERO
    if shown is None:
        return None
    if value >= shown:
        return Doubt.RISE if value - shown > possible_rise(at - past.shown_at) else None
    if derived:
        return Doubt.CORRECTION
    return Doubt.SMALL_DROP if shown - value < SMALL else Doubt.DROP


def possible_rise(seconds: float) -> float:
    """The most that a house can count in this time."""
    return max(SMALL, MOST_POWER * seconds)


def follow(course: Course | None, past: Past, value: float, at: float) -> Course | None:
    """The course with another odd reading."""
    if value <= 0.0:
        return None if course is None else Course(None, course.last, course.at, course.near_zero)
    if course is None or value <= course.last - SMALL or value - course.last > possible_rise(at - course.at):
        most = max(NEAR_ZERO, MOST_POWER * (at - past.shown_at))
        return Course(at, value, at, value <= most)
    since = course.since if course.since is not None and value >= course.last else at
    return Course(since, value, at, course.near_zero)


def spreads(past: Past, doubt: Doubt, value: float, opposite: float) -> bool:
    """Return True if what is derived from a counter in ``doubt`` is held back too.

    ``opposite`` is what the other direction of the same meter reads.
    """
    if doubt is Doubt.FIRST_ZERO:
        return not opposite > 0.0
    if doubt is Doubt.BELOW_ZERO:
        return past.shown is not None and past.shown - value >= SMALL
    return RULES[doubt].spreads


def _never(evidence: Evidence) -> bool:
    return False


def _booted(evidence: Evidence) -> bool:
    if evidence.uptime is not None:
        return not evidence.may_boot
    return evidence.at - evidence.hold.began >= PATIENCE


def _meter_replaced(evidence: Evidence) -> bool:
    """Return True if the meter is new: its other direction began anew with this zero, ten minutes ago or more."""
    anew, began = evidence.opposite_began_anew, evidence.hold.began
    return (
        anew is not None
        and anew >= began - PATIENCE
        and evidence.at - max(anew, began) >= PATIENCE
        and not evidence.may_boot
    )


def _steady(evidence: Evidence) -> bool:
    course = evidence.hold.course
    return course is not None and course.is_steady(evidence.at)


def _steady_near_zero(evidence: Evidence) -> bool:
    course = evidence.hold.course
    return course is not None and course.near_zero and course.is_steady(evidence.at)


@dataclass(frozen=True, slots=True)
class Rule:
    """The consequences of a doubt.

    ``reason`` is for the log; ``believed`` says when the reading is published all the same, and ``ending`` why;
    ``spreads`` is true if what is derived from the counter is held back too.
    """

    reason: str
    spreads: bool
    believed: Callable[[Evidence], bool] = _never
    ending: str = "it has reached its old value"


RULES: Final[Mapping[Doubt, Rule]] = {
    Doubt.BELOW_ZERO: Rule(
        "it is below zero, and no counter of Prometheus may be: the meter or its set-up is wrong",
        spreads=False,
    ),
    Doubt.FIRST_ZERO: Rule(
        "its first reading is 0, as while a gateway boots",
        True,
        _booted,
        "the gateway has booted, and it is 0",
    ),
    Doubt.ZERO: Rule(
        "it reads 0, as after a reboot", True, _meter_replaced, "its meter was replaced, and it begins at 0"
    ),
    Doubt.SMALL_DROP: Rule("it fell by less than 1 kWh", spreads=False),
    Doubt.DROP: Rule(
        "it fell by 1 kWh or more",
        True,
        _steady_near_zero,
        "its meter was replaced, and it begins anew near 0",
    ),
    Doubt.CORRECTION: Rule("the gateway, which derives it from the other counters, corrected it down", False),
    Doubt.RISE: Rule(
        "it rose by more than 200 kW can bring",
        True,
        _steady,
        "the rise has lasted ten minutes, so it is shown",
    ),
    Doubt.SOURCE: Rule(
        "the gateway derives it from counters of which one is held back or missing", spreads=False
    ),
}
