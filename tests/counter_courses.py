"""Courses of a house's counters, as gateways have told them: what is told minute by minute, and what is true.

Energies are in kWh, powers in kW. A course tells a `House` what flows, and yields a `Moment` for each probe.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

Counter = tuple[str, str]
"""A category and a direction, ``imported`` or ``exported``."""

Totals = dict[Counter, float]

METERS: Final = ("site", "battery", "solar")
DIRECTIONS: Final = ("imported", "exported")
ZEROS: Final = tuple((category, direction) for category in METERS for direction in DIRECTIONS)


@dataclass(frozen=True, slots=True)
class Moment:
    """One probe. ``told`` is what the gateway says, None while it is off; ``uptime`` in seconds, None: tells none.

    The exporter is started anew before it where ``restart`` says by how many seconds its wall clock is then wrong;
    ``wrong`` sets the clock while it runs.
    """

    told: Totals | None
    uptime: float | None = 9e5
    restart: float | None = None
    wrong: float | None = None


class House:
    """The meters of a house. The load is what the gateway derives from them."""

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes
        self.totals: Totals = {
            ("site", "imported"): 9123.0,
            ("site", "exported"): 2480.0,
            ("battery", "imported"): 5414.0,
            ("battery", "exported"): 4842.0,
            ("solar", "imported"): 44.0,
            ("solar", "exported"): 30575.0,
        }
        self.flowed: Totals = dict.fromkeys(self.totals, 0.0)
        self.load_net = 0.0
        self.load_gross = 0.0

    def run(self, site: float = 0.0, battery: float = 0.0, solar: float = 0.0) -> None:
        """One interval: ``site`` from the grid, ``battery`` discharges, ``solar`` produces; negative the other way."""
        hours = self.minutes / 60.0
        for category, power, positive in (
            ("site", site, "imported"),
            ("battery", battery, "exported"),
            ("solar", solar, "exported"),
        ):
            other = "imported" if positive == "exported" else "exported"
            direction = positive if power >= 0.0 else other
            self.totals[category, direction] += abs(power) * hours
            self.flowed[category, direction] += abs(power) * hours
        used = (site + battery + solar) * hours
        self.load_net += used
        self.load_gross += max(0.0, used)

    def tell(self, zeros: Collection[Counter] = (), **more: float) -> Totals:
        """What the gateway says of them, the load included; ``zeros`` read 0, ``battery_imported=…`` is added."""
        told = {key: 0.0 if key in zeros else total for key, total in self.totals.items()}
        for name, energy in more.items():
            category, _, direction = name.partition("_")
            told[category, direction] += energy
        load = sum(
            told[category, plus] - told[category, minus]
            for category, plus, minus in (
                ("site", "imported", "exported"),
                ("battery", "exported", "imported"),
                ("solar", "exported", "imported"),
            )
        )
        return {**told, ("load", "imported"): load, ("load", "exported"): 0.0}


@dataclass(frozen=True, slots=True)
class Course:
    """A course, and what is true of it beside what flowed.

    ``extra`` is energy that a counter shows on top, as a jump of the gateway's own or what a new meter brought along;
    ``resets`` are the counters that begin anew, once each; ``hidden`` have no samples at all. ``load`` gives least and
    most of the load's increase where they are not net and gross. ``lost`` is what nobody can know of each counter: what
    flowed before its first sample or after its last one. Without a state directory (``keeps_state``) what begins anew
    shows a lifetime of energy.
    """

    play: Callable[[House], Iterator[Moment]]
    minutes: float = 1.0
    extra: Mapping[Counter, float] = field(default_factory=dict)
    resets: Collection[Counter] = ()
    hidden: Collection[Counter] = ()
    load: tuple[float, float] | None = None
    lost: float = 0.0
    keeps_state: bool = True
    slow: bool = False


def recorded(file: Path) -> Callable[[House], Iterator[Moment]]:
    """A course out of a file: a line a minute, ``{"t": seconds, "endpoints": {path: document}}``."""

    def play(house: House) -> Iterator[Moment]:
        for line in file.read_text(encoding="utf-8").splitlines():
            categories = json.loads(line)["endpoints"]["meters/aggregates"]
            yield Moment(
                {
                    (category, way): document[f"energy_{way}"] / 1000.0
                    for category, document in categories.items()
                    for way in DIRECTIONS
                }
            )

    return play


def evening(house: House, count: int) -> Iterator[Moment]:
    """A steady use of 0.5 kW and more, from all meters that there are."""
    for _ in range(count):
        house.run(site=0.3, battery=0.4, solar=-0.01)
        yield Moment(house.tell())


# The load runs backwards


def car_feeds_in(house: House) -> Iterator[Moment]:
    """The home at −3 kW for an hour: something feeds in that no meter of the gateway sees."""
    yield from evening(house, 30)
    for _ in range(60):
        house.run(site=-4.6, solar=1.6)
        yield Moment(house.tell())
    yield from evening(house, 60)


def car_every_evening(house: House, use: float) -> Iterator[Moment]:
    """A car gives 4 kW for three hours of each evening, for ten days; else the home uses ``use`` kW."""
    for minute in range(0, 10 * 24 * 60, round(house.minutes)):
        hour = minute / 60 % 24
        if 18 <= hour < 21:
            house.run(site=use - 4.0)
        elif 9 <= hour < 15:
            house.run(site=use - 3.2, solar=3.2)
        else:
            house.run(site=use - 0.3, battery=0.3)
        yield Moment(house.tell())


def net_rise(house: House) -> Iterator[Moment]:
    yield from car_every_evening(house, use=1.2)


def net_fall(house: House) -> Iterator[Moment]:
    yield from car_every_evening(house, use=0.2)


def jitter(house: House) -> Iterator[Moment]:
    """The meters are read one after the other: the derived load steps back now and then."""
    for number in range(240):
        house.run(site=0.8)
        told = house.tell()
        told["load", "imported"] -= 0.05 if number % 3 == 1 else 0.0
        yield Moment(told)


# Batteries come and go


def second_battery(house: House) -> Iterator[Moment]:
    """Another battery brings its history: the sum jumps up, and the derived load down."""
    yield from evening(house, 30)
    for _ in range(90):
        house.run(site=0.5)
        yield Moment(house.tell(battery_imported=11870.0))


def second_battery_that_gave_more(house: House) -> Iterator[Moment]:
    """Both directions jump, and the load with them by their difference."""
    yield from evening(house, 30)
    for _ in range(90):
        house.run(site=0.5)
        yield Moment(house.tell(battery_imported=2310.0, battery_exported=2750.0))


def smaller_battery(house: House) -> Iterator[Moment]:
    """A used battery in place of the old one: both totals fall, to nothing that could be a new meter's."""
    yield from evening(house, 30)
    for _ in range(12 * 60):
        house.run(site=0.5)
        yield Moment(house.tell(battery_imported=-3100.0, battery_exported=-2900.0))


def new_battery(house: House) -> Iterator[Moment]:
    """A battery fresh from the factory in place of the old one."""
    yield from evening(house, 30)
    for _ in range(90):
        house.run(site=0.5)
        yield Moment(house.tell(battery_imported=-5414.0 + 1.9, battery_exported=-4842.0 + 1.6))


# The gateway boots


def battery_zeros(house: House) -> Iterator[Moment]:
    """The batteries' counters are 0 for four minutes, and the derived load jumps up."""
    yield from evening(house, 30)
    for _ in range(4):
        house.run(site=0.5)
        yield Moment(house.tell(zeros=[("battery", "imported"), ("battery", "exported")]))
    yield from evening(house, 30)


def reboot(house: House) -> Iterator[Moment]:
    """Three minutes off, then four of zeros in every category."""
    yield from evening(house, 30)
    for minute in range(40):
        house.run(site=0.5, battery=0.1)
        if minute < 3:
            yield Moment(None)
        else:
            yield Moment(house.tell(zeros=ZEROS if minute < 7 else ()), uptime=60.0 * (minute - 2))


def late_zeros(house: House) -> Iterator[Moment]:
    """After a reboot one category after the other reads 0, each for twelve minutes, the last ones past any boot."""
    yield from evening(house, 30)
    for minute in range(60):
        house.run(site=0.5, battery=0.1)
        zeros = [key for place, key in enumerate(ZEROS) if 4 * place <= minute < 4 * place + 12]
        yield Moment(house.tell(zeros=zeros), uptime=60.0 * (minute + 1))


def flapping_zero(house: House) -> Iterator[Moment]:
    """A meter that loses touch at every fifth probe."""
    for number in range(120):
        house.run(site=0.5, battery=0.1)
        yield Moment(house.tell(zeros=[("site", "imported")] if number % 5 == 4 else ()))


def booting_at_first_sight(house: House) -> Iterator[Moment]:
    """The exporter starts while the gateway boots."""
    for minute in range(120):
        house.run(site=0.5, battery=0.1)
        yield Moment(house.tell(zeros=ZEROS if minute < 5 else ()), uptime=60.0 * (minute + 1))


def booting_without_uptime(house: House) -> Iterator[Moment]:
    """The same at a Powerwall 3, whose clock is set three hours on meanwhile: power is back, and the time too."""
    for minute in range(120):
        house.run(site=0.5, battery=0.1)
        late, right = -3 * 3600.0 if minute == 0 else None, 0.0 if minute == 3 else None
        yield Moment(
            house.tell(zeros=ZEROS if minute < 5 else ()), None, wrong=late if late is not None else right
        )


def power_cut(house: House) -> Iterator[Moment]:
    """Gateway and exporter lose power together; the exporter is back first, and its clock is set late."""
    yield from evening(house, 40)
    for minute in range(60):
        house.run(site=0.5, battery=0.1)
        if minute < 5:
            yield Moment(None, restart=-5 * 3600.0 if minute == 4 else None)
        else:
            told = house.tell(zeros=ZEROS if minute < 9 else ())
            yield Moment(told, 60.0 * (minute - 4), wrong=0.0 if minute == 7 else None)


# The exporter is started anew


def restart_in_a_hold(house: House) -> Iterator[Moment]:
    """The exporter is started anew while the batteries read 0 and the derived load is up."""
    yield from evening(house, 30)
    for minute in range(8):
        house.run(site=0.5)
        told = house.tell(zeros=[("battery", "imported"), ("battery", "exported")])
        yield Moment(told, restart=0.0 if minute == 4 else None)
    yield from evening(house, 30)


def restart_while_the_car_feeds_in(house: House) -> Iterator[Moment]:
    yield from evening(house, 30)
    for minute in range(60):
        house.run(site=-4.6, solar=1.6)
        yield Moment(house.tell(), restart=0.0 if minute == 40 else None)
    yield from evening(house, 30)


# Meters


def new_meter(house: House) -> Iterator[Moment]:
    """A new site meter in a house that never exports but for the noise of the old one."""
    old = {
        "site_imported": -house.totals["site", "imported"],
        "site_exported": -house.totals["site", "exported"],
    }
    before = dict(house.totals)
    yield from evening(house, 30)
    counted = house.totals["site", "imported"] - before["site", "imported"]
    old["site_imported"] += 1.4 - counted
    for _ in range(90):
        house.run(site=0.8)
        yield Moment(house.tell(**old))


def below_zero(house: House) -> Iterator[Moment]:
    """Lifetime totals below zero, which rise as they should."""
    for _ in range(90):
        house.run(site=0.5, battery=0.1)
        yield Moment(house.tell(site_imported=-16983.9, site_exported=-9817.6))


def through_zero(house: House) -> Iterator[Moment]:
    """A total that rises through zero after half an hour."""
    start = house.totals["site", "imported"]
    for _ in range(120):
        house.run(site=1.0)
        yield Moment(house.tell(site_imported=-start - 0.5))


_BATTERY: Final = (("battery", "imported"), ("battery", "exported"))
_SITE: Final = (("site", "imported"), ("site", "exported"))

COURSES: Final[Mapping[str, Course]] = {
    "car_feeds_in": Course(car_feeds_in),
    "net_rise": Course(net_rise, minutes=5.0, slow=True),
    # Held back for seven days, the load begins anew: windows longer than that gap show one reset.
    "net_fall": Course(net_fall, minutes=5.0, resets=[("load", "imported")], slow=True),
    "jitter": Course(jitter, minutes=0.25),
    "second_battery": Course(second_battery, extra={("battery", "imported"): 11870.0}, load=(0.3, 1.1)),
    "second_battery_that_gave_more": Course(
        second_battery_that_gave_more,
        extra={("battery", "imported"): 2310.0, ("battery", "exported"): 2750.0, ("load", "imported"): 440.0},
        slow=True,
    ),
    # The batteries' totals are held back, and the load with them.
    "smaller_battery": Course(smaller_battery, load=(0.3, 6.8), slow=True),
    "new_battery": Course(
        new_battery,
        extra={
            ("battery", "imported"): 1.9,
            ("battery", "exported"): 1.8,  # with the 0.2 that flowed before
            ("load", "imported"): 571.7,
        },
        resets=_BATTERY,
    ),
    "battery_zeros": Course(battery_zeros),
    "reboot": Course(reboot),
    "late_zeros": Course(late_zeros, slow=True),
    "flapping_zero": Course(flapping_zero, slow=True),
    "booting_at_first_sight": Course(booting_at_first_sight, lost=0.05, slow=True),
    "booting_without_uptime": Course(booting_without_uptime, lost=0.05),
    "power_cut": Course(power_cut),
    "restart_in_a_hold": Course(restart_in_a_hold),
    # Nothing is known of what was held back: the zeros are published, and the load's jump.
    "restart_without_state": Course(
        restart_in_a_hold,
        resets=_BATTERY,
        load=(572.0, 590.0),
        keeps_state=False,
        slow=True,
    ),
    "restart_while_the_car_feeds_in": Course(restart_while_the_car_feeds_in, slow=True),
    # The derived load loses what the old meter had counted: it is held back from the swap on.
    "new_meter": Course(new_meter, extra={("site", "imported"): 1.4}, resets=_SITE, load=(0.3, 1.6)),
    "below_zero": Course(below_zero, hidden=_SITE),
    "through_zero": Course(through_zero, lost=0.5, slow=True),
}
