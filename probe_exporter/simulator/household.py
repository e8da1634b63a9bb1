"""The physics of a site: sun, house, batteries and grid, stepped through time without losing a watt-hour.

Powers are whole W, as a gateway gives them, and hold for one step; counters are Wh and are the integrals of those
powers. Site power counts from the grid, battery power is positive while discharging, solar power is production,
load = site + battery + solar.
"""

from __future__ import annotations

import math
import random
import zlib
from dataclasses import dataclass
from typing import Final

from probe_exporter.simulator.profiles import Profile
from probe_exporter.simulator.strategies import Load, Strategy

EFFICIENCY: Final = 0.953
"""Of charging, and of discharging: nine tenths there and back."""

APP_RESERVE: Final = 20.0
RESERVE: Final = APP_RESERVE * 0.95 + 5.0
"""The backup reserve in percent of the packs, as the gateway counts it."""

_DAY: Final = 86_400.0
_MASK: Final = (1 << 64) - 1


@dataclass(slots=True)
class Counter:
    """The two counters of a meter, in Wh: what flowed in the positive sense of its power, and the other way."""

    positive: float
    negative: float

    def add(self, watts: float, hours: float) -> None:
        """Let ``watts`` flow for ``hours``."""
        if watts >= 0.0:
            self.positive += watts * hours
        else:
            self.negative -= watts * hours

    @property
    def net(self) -> float:
        """Positive less negative."""
        return self.positive - self.negative


@dataclass(slots=True)
class Pack:
    """A battery: its charge, and the energy that passed its inverter's terminals."""

    serial: str
    part: str
    full: float
    remaining: float
    limit: float
    counter: Counter
    power: float = 0.0

    def dischargeable(self, hours: float, floor: float) -> float:
        """W that it can give for ``hours`` without going below ``floor`` of its capacity (0 to 1)."""
        return min(self.limit, max(0.0, self.remaining - self.full * floor) * EFFICIENCY / hours)

    def chargeable(self, hours: float) -> float:
        """W that it can take for ``hours``."""
        return min(self.limit, max(0.0, self.full - self.remaining) / EFFICIENCY / hours)

    def flow(self, watts: float, hours: float) -> None:
        """Discharge (charge, where negative) for ``hours``."""
        self.power = watts
        self.counter.add(watts, hours)
        drawn = watts / EFFICIENCY if watts >= 0.0 else watts * EFFICIENCY
        self.remaining = min(self.full, max(0.0, self.remaining - drawn * hours))


@dataclass(slots=True)
class Household:
    """All that moves at one site. `step` moves it; nothing here reads a clock."""

    profile: Profile
    seed: int
    packs: list[Pack]
    site: Counter
    solar: Counter
    islanded: bool = False
    load_power: float = 0.0
    site_power: float = 0.0
    solar_power: float = 0.0
    curtailed: bool = False
    """True if more sun shines than house and batteries take off the grid."""
    strategy: Strategy | None = None
    """The strategy of the batteries on the grid; without it they feed the house and store the surplus."""
    appliance: Load | None = None
    """The load on top of the house's demand."""

    @classmethod
    def settled(cls, profile: Profile, seed: int, batteries: int) -> Household:
        """A site that has lived for some years, differently for every seed."""
        draw = random.Random(f"household {seed}")
        years = draw.uniform(1.2, 6.4)
        packs = [
            Pack(
                serial=f"TG{118_000_000_000 + (seed * 7919 + index * 104_729) % 9_999_999_999:012d}",
                part=profile.battery_parts[min(index, len(profile.battery_parts) - 1)],
                full=profile.pack * draw.uniform(0.93, 1.0),
                remaining=profile.pack * draw.uniform(0.35, 0.8),
                limit=profile.battery_power,
                counter=Counter(years * draw.uniform(1.60e6, 1.75e6), years * draw.uniform(1.95e6, 2.05e6)),
            )
            for index in range(batteries)
        ]
        return cls(
            profile,
            seed,
            packs,
            site=Counter(years * draw.uniform(4.1e6, 5.2e6), years * draw.uniform(1.4e6, 2.3e6)),
            solar=Counter(
                years * profile.solar_peak * draw.uniform(1350.0, 1500.0),
                years * 9.0e3 * draw.uniform(0.8, 1.2) if profile.solar_at_night else 0.0,
            ),
        )

    # Totals

    @property
    def battery_power(self) -> float:
        """W of all batteries, positive while discharging."""
        return math.fsum(pack.power for pack in self.packs)

    @property
    def battery(self) -> Counter:
        """The counters of all batteries together."""
        return Counter(
            math.fsum(pack.counter.positive for pack in self.packs),
            math.fsum(pack.counter.negative for pack in self.packs),
        )

    @property
    def load_energy(self) -> float:
        """Wh that the house used: derived from the other meters, as a gateway does."""
        return self.site.net + self.battery.net + self.solar.net

    @property
    def full(self) -> float:
        """Wh that all batteries hold."""
        return math.fsum(pack.full for pack in self.packs)

    @property
    def remaining(self) -> float:
        """Wh that are in them."""
        return math.fsum(pack.remaining for pack in self.packs)

    # Movement

    def step(self, moment: float, seconds: float) -> None:
        """Move on by ``seconds`` that lie around the Unix time ``moment``."""
        hours = seconds / 3600.0
        wanted = _whole(self.demand(moment) + (0.0 if self.appliance is None else self.appliance(moment)))
        sun = _whole(self.sunshine(moment))
        floor = 0.0 if self.islanded else RESERVE / 100.0
        give = [pack.dischargeable(hours, floor) for pack in self.packs]
        take = [pack.chargeable(hours) for pack in self.packs]
        gap = wanted - sun
        if self.strategy is not None and not self.islanded:
            gap = self.strategy(moment, gap)
        shares = _shared(min(gap, sum(give)), give) if gap >= 0.0 else _shared(max(gap, -sum(take)), take)
        for pack, watts in zip(self.packs, shares, strict=True):
            pack.flow(watts, hours)
        battery = self.battery_power
        self.curtailed = False
        if self.islanded:
            # No grid takes the surplus or gives what is missing: the sun is curtailed, or the load of the house is cut.
            self.curtailed = sun > wanted - battery
            sun = max(min(sun, wanted - battery), -battery)
            self.site_power = 0.0
            self.load_power = sun + battery
        else:
            self.site_power = wanted - battery - sun
            self.load_power = wanted
        self.solar_power = sun
        self.site.add(self.site_power, hours)
        self.solar.add(sun, hours)

    def sunshine(self, moment: float) -> float:
        """W that the panels could give."""
        profile = self.profile
        local = moment + profile.utc_offset * 3600.0
        day = local / _DAY
        declination = math.radians(-23.44) * math.cos(2.0 * math.pi * (day + 9.0) / 365.2422)
        latitude = math.radians(profile.latitude)
        hour_angle = 2.0 * math.pi * (day % 1.0 - 0.5)
        height = math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(
            declination
        ) * math.cos(hour_angle)
        if height <= 0.01:
            return profile.solar_at_night
        clouds = 0.25 + 0.75 * self.noise("weather", moment, 6.0 * 3600.0)
        passing = 0.8 + 0.2 * self.noise("cloud", moment, 240.0)
        return profile.solar_peak * math.pow(height, 1.15) * clouds * passing

    def demand(self, moment: float) -> float:
        """W that the house would use."""
        hour = (moment / 3600.0 + self.profile.utc_offset) % 24.0
        rhythm = (
            700.0 * _bump(hour, 7.5, 1.4) + 1_900.0 * _bump(hour, 19.0, 2.3) + 400.0 * _bump(hour, 12.8, 1.5)
        )
        habits = 0.6 + 0.8 * self.noise("habits", moment, 1_800.0)
        kettle = 1_450.0 if self.noise("kettle", moment, 300.0) > 0.93 else 0.0
        return 290.0 + 120.0 * self.noise("fridge", moment, 900.0) + rhythm * habits + kettle

    def noise(self, name: str, moment: float, period: float) -> float:
        """A smooth random number in 0 to 1 that changes within ``period`` seconds; the same for a seed and moment."""
        place = moment / period
        index = math.floor(place)
        weight = place - index
        weight = weight * weight * (3.0 - 2.0 * weight)
        return _drawn(self.seed, name, index) * (1.0 - weight) + _drawn(self.seed, name, index + 1) * weight


def _shared(total: float, limits: list[float]) -> list[float]:
    """``total`` shared out in whole W and in proportion to what each can do."""
    capacity = sum(limits)
    return [_whole(total * limit / capacity) if capacity else 0.0 for limit in limits]


def _whole(watts: float) -> float:
    """Return whole W towards zero, so that no limit is exceeded; sums of these have no remainder."""
    return float(math.trunc(watts))


def _bump(hour: float, centre: float, width: float) -> float:
    return math.exp(-(((hour - centre) / width) ** 2))


def _drawn(seed: int, name: str, index: int) -> float:
    """A random number in 0 to 1 by place: the steps of SplitMix64, because random.Random takes long to seed."""
    state = (seed * 0x9E3779B97F4A7C15 + (zlib.crc32(name.encode()) << 32) + index) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return (state ^ (state >> 31)) / 2.0**64
