"""The kinds of system that a living site can be: firmware, hardware, region, and which endpoints exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from probe_exporter.gateway.endpoints import BY_NAME

ProfileName = Literal["pw2", "pwplus", "pw3", "legacy"]


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of system. Energies are Wh, powers W, voltages V from line to neutral, the offset hours."""

    name: ProfileName
    version: str
    git_hash: str
    gateway_part: str
    device_type: str
    battery_parts: tuple[str, ...]
    pack: float
    battery_power: float
    solar_peak: float
    solar_at_night: float
    voltage: float
    legs: int
    frequency: float
    latitude: float
    utc_offset: float
    timezone: str
    timeout_ns: int
    endpoints: frozenset[str]
    grid_code: dict[str, object]


_CALIFORNIA: Final[dict[str, object]] = {
    "grid_code": "60Hz_240V_s_UL1741SA:2019_California",
    "grid_voltage_setting": 240,
    "grid_freq_setting": 60,
    "grid_phase_setting": "Split",
    "country": "United States",
    "state": "California",
    "utility": "Simulated Gas and Electric",
}
_ALL: Final = frozenset(BY_NAME)
_PW3: Final = frozenset({"meters/aggregates", "system_status/soe", "system_status/grid_status"})
_LEGACY: Final = _ALL - {"system_status", "solar_powerwall", "troubleshooting/problems", "meters/status"}

PROFILES: Final[dict[ProfileName, Profile]] = {
    "pw2": Profile(
        name="pw2",
        version="22.36.9 5d1bd4ee",
        git_hash="5d1bd4ee0a4c4f7b8b8e6f3a1c92d07e6b15a3f4",
        gateway_part="1232100-00-F",
        device_type="teg",
        battery_parts=("3012170-05-C",),
        pack=14_061.0,
        battery_power=5_000.0,
        solar_peak=6_300.0,
        solar_at_night=-7.0,
        voltage=121.3,
        legs=2,
        frequency=60.0,
        latitude=37.4,
        utc_offset=-8.0,
        timezone="America/Los_Angeles",
        timeout_ns=1_500_000_000,
        endpoints=_ALL,
        grid_code=_CALIFORNIA,
    ),
    "pwplus": Profile(
        name="pwplus",
        version="23.28.2 27626f98",
        git_hash="27626f98a66cad5c665bbe1d4d788cdb3e94fd33",
        gateway_part="1232100-00-E",
        device_type="teg",
        battery_parts=("2012170-25-E", "3012170-05-B"),
        pack=13_487.0,
        battery_power=5_800.0,
        solar_peak=7_600.0,
        solar_at_night=0.0,
        voltage=122.1,
        legs=2,
        frequency=60.0,
        latitude=33.9,
        utc_offset=-8.0,
        timezone="America/Los_Angeles",
        timeout_ns=1_500_000_000,
        endpoints=_ALL,
        grid_code=_CALIFORNIA,
    ),
    "pw3": Profile(
        name="pw3",
        version="26.18.3 9c0f2b71",
        git_hash="9c0f2b71d3a84e5f60718293a4b5c6d7e8f90123",
        gateway_part="1707000-30-L",
        device_type="teg",
        battery_parts=("1707000-30-L",),
        pack=13_642.0,
        battery_power=10_000.0,
        solar_peak=9_800.0,
        solar_at_night=0.0,
        voltage=238.5,
        legs=1,
        frequency=50.0,
        latitude=-33.8,
        utc_offset=10.0,
        timezone="Australia/Sydney",
        timeout_ns=60_000_000_000,
        endpoints=_PW3,
        grid_code={},
    ),
    "legacy": Profile(
        name="legacy",
        version="1.46.0",
        git_hash="5e4a1f0c8b7d6e9f0a1b2c3d4e5f60718293a4b5+",
        gateway_part="1118431-00-L",
        device_type="hec",
        battery_parts=("1092170-03-E",),
        pack=13_912.0,
        battery_power=5_000.0,
        solar_peak=5_100.0,
        solar_at_night=-4.0,
        voltage=120.7,
        legs=2,
        frequency=60.0,
        latitude=37.8,
        utc_offset=-8.0,
        timezone="America/Los_Angeles",
        timeout_ns=1_500_000_000,
        endpoints=_LEGACY,
        grid_code=_CALIFORNIA,
    ),
}
