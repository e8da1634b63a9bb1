"""A moment of a living site, and a gateway's notation of times and durations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from probe_exporter.simulator.household import Household
from probe_exporter.simulator.profiles import Profile

NEVER: Final = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Moment:
    """A site, and when: ``time`` and ``started`` are Unix seconds."""

    site: Household
    name: str
    time: float
    started: float
    transition: bool

    @property
    def profile(self) -> Profile:
        """The kind of the site."""
        return self.site.profile

    @property
    def uptime(self) -> float:
        """Seconds since the gateway started."""
        return max(0.0, self.time - self.started)

    @property
    def plus(self) -> bool:
        """Return True if the solar inverter is part of a Powerwall+."""
        return self.profile.name == "pwplus"

    @property
    def volts(self) -> float:
        """Line to neutral."""
        if self.site.islanded and self.site.load_power <= 1.0:
            return 0.0
        return round(self.profile.voltage * (0.99 + 0.02 * self.site.noise("volts", self.time, 120.0)), 2)

    @property
    def hertz(self) -> float:
        """Of the house's supply."""
        shift = 1.9 if self.site.islanded and self.site.curtailed else 0.0
        return round(
            self.profile.frequency + shift + 0.04 * (self.site.noise("hertz", self.time, 20.0) - 0.5), 3
        )

    @property
    def grid_state(self) -> str:
        """The word for the state of the grid."""
        if self.transition:
            return "SystemTransitionToGrid"
        return "SystemIslandedActive" if self.site.islanded else "SystemGridConnected"

    @property
    def serial(self) -> str:
        """Of the gateway."""
        return f"TG{120_000_000_000 + self.site.seed * 1_009:012d}"

    @property
    def din(self) -> str:
        """Part and serial number of the gateway in one."""
        return f"{self.profile.gateway_part}--{self.serial}"

    def written(self, ago: float = 0.0) -> str:
        """The time as a gateway writes it: RFC 3339 with nanoseconds and the site's offset."""
        zone = timezone(timedelta(hours=self.profile.utc_offset))
        moment = datetime.fromtimestamp(self.time - ago, zone)
        return f"{moment:%Y-%m-%dT%H:%M:%S.%f}{417:03d}{moment.isoformat()[-6:]}"


def duration(seconds: float) -> str:
    """Seconds as Go writes a duration."""
    whole, rest = divmod(max(0.0, seconds), 3600.0)
    minutes, rest = divmod(rest, 60.0)
    hours = f"{int(whole)}h" if whole else ""
    return f"{hours}{int(minutes)}m{round(rest, 6):.9g}s"
