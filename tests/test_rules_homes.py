"""Homes and outages: ``recording.yml`` and ``outages.yml`` run by promtool, beside answers worked out by hand.

Time begins at 1970-01-01 00:00 UTC there. A counter that grows by 60,000 J a minute is 1 kW.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import program
from tests.test_rules import RECORDINGS

FOLDER = Path(__file__).parent.parent / "examples" / "prometheus" / "rules"
RECORDING, OUTAGE_RULES = FOLDER / "recording.yml", FOLDER / "outages.yml"

KILOWATT = 60_000
DAY = 1440


@dataclass(frozen=True, slots=True)
class Course:
    """A course of events: series in promtool's notation, a sample a minute, and the values that must come of it."""

    series: dict[str, str]
    expected: list[tuple[int, str, dict[str, float]]] = field(default_factory=list)
    """Minute, query, and values by the labels that the query leaves."""


def counter(direction: str, category: str, values: str, **labels: str) -> tuple[str, str]:
    return series(f"powerwall_{direction}_joules_total", values, category=category, **labels)


def series(name: str, values: str, **labels: str) -> tuple[str, str]:
    labels = {"job": "powerwall", "instance": "a", **labels}
    pairs = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{pairs}}}", values


def price(direction: str, values: str, **labels: str) -> tuple[str, str]:
    return series(f"powerwall_tariff_{direction}_price", values, currency="EUR", **labels)


def bill(minute: int, window: str, of: str, amounts: dict[str, float]) -> tuple[int, str, dict[str, float]]:
    """The items of a bill, as they must be at a minute."""
    query = f"sum by (item) (powerwall:{of}_cost:{window})"
    return minute, query, {f'{{item="{item}"}}': amount for item, amount in amounts.items()}


COURSES = {
    # 3 kW for 60 minutes at 0.30 are 0.90.
    "an hour at one price": Course(
        dict([counter("imported", "site", f"5e12+{3 * KILOWATT}x70"), price("import", "0.3x70")]),
        [
            bill(1, "minute", "gateway", {"import": 0.015}),
            bill(60, "day", "gateway", {"import": 0.90}),
            bill(60, "day", "home", {"import": 0.90}),
            bill(60, "month", "home", {"import": 0.90}),
            bill(60, "month", "gateway", {"import": 0.90}),
            (60, 'sum(powerwall:home_joules:month{category="site"}) / 3.6e6', {"{}": 3.0}),
        ],
    ),
    # 20 minutes without a good probe: their 1 kWh counts at the end of the gap, once.
    "a gap": Course(
        dict(
            [
                series("powerwall_tls_pinned", "1x60"),
                counter(
                    "imported",
                    "site",
                    f"0+{3 * KILOWATT}x10 stale _x18 {30 * 3 * KILOWATT}+{3 * KILOWATT}x30",
                ),
                price("import", "0.3x60"),
            ]
        ),
        [
            (20, "powerwall:gateway_cost:minute", {}),
            bill(20, "day", "gateway", {"import": 0.15}),
            bill(30, "minute", "gateway", {"import": 0.30}),
            bill(30, "day", "gateway", {"import": 0.45}),
            bill(60, "day", "home", {"import": 0.90}),
        ],
    ),
    # The price of the scrape at the end of a minute holds for the minute: 0.05 kWh × 0.2 (the change of price) is the
    # most that a change within it can cost.
    "a price that changes": Course(
        dict([counter("imported", "site", f"0+{3 * KILOWATT}x60"), price("import", "0.3x29 0.5x40")]),
        [
            bill(29, "day", "gateway", {"import": 29 * 0.05 * 0.3}),
            bill(30, "day", "gateway", {"import": 29 * 0.05 * 0.3 + 0.05 * 0.5}),
            bill(60, "day", "gateway", {"import": 29 * 0.05 * 0.3 + 31 * 0.05 * 0.5}),
        ],
    ),
    # The exporter stands still from minute 11 to 69. Nothing is lost: 1 kWh an hour, 2 hours.
    "an exporter that is down for an hour": Course(
        dict(
            [
                counter("imported", "site", f"0+{KILOWATT}x10 stale _x58 {70 * KILOWATT}+{KILOWATT}x60"),
                price("import", "0.3x10 stale _x58 0.3x70"),
            ]
        ),
        [
            (40, "powerwall:gateway_cost:day", {}),
            bill(70, "minute", "gateway", {"import": 0.3}),
            bill(120, "day", "gateway", {"import": 0.6}),
            (120, "sum(powerwall:unpriced_joules:day) or vector(0)", {"{}": 0.0}),
        ],
    ),
    # Three hours are too long to guess a price: the energy is there, and told apart.
    "an exporter that is down for three hours": Course(
        dict(
            [
                counter("imported", "site", f"0+{KILOWATT}x10 stale _x178 {190 * KILOWATT}+{KILOWATT}x60"),
                price("import", "0.3x10 stale _x178 0.3x70"),
            ]
        ),
        [
            bill(240, "day", "gateway", {"import": 0.3}),
            (240, "sum(powerwall:unpriced_joules:day)", {"{}": 180 * KILOWATT}),
            (240, "sum(powerwall:unpriced_joules:month)", {"{}": 180 * KILOWATT}),
        ],
    ),
    "a price that is missing for ten minutes": Course(
        dict([counter("imported", "site", f"0+{KILOWATT}x70"), price("import", "0.3x10 stale _x9 0.3x60")]),
        [
            bill(60, "day", "gateway", {"import": 0.25}),
            (
                60,
                "sum by (direction) (powerwall:unpriced_joules:day)",
                {'{direction="imported"}': 10 * KILOWATT},
            ),
        ],
    ),
    "no tariff": Course(
        dict([counter("imported", "site", f"0+{KILOWATT}x70")]),
        [
            (60, "powerwall:home_cost:day or powerwall:unpriced_joules:day", {}),
            (60, 'sum(powerwall:home_joules:day{category="site",direction="imported"})', {"{}": 3.6e6}),
        ],
    ),
    # 2 kW fed in at a price below 0 cost money.
    "feed-in that costs": Course(
        dict(
            [
                counter("imported", "site", "0x70"),
                counter("exported", "site", f"0+{2 * KILOWATT}x70"),
                price("import", "0.3x70"),
                price("export", "0.08x30 -0.02x40"),
            ]
        ),
        [
            bill(30, "day", "home", {"import": 0.0, "export": -0.08}),
            bill(60, "day", "home", {"import": 0.0, "export": -0.08 + 0.02}),
        ],
    ),
    # Static targets without `home`: two houses, not one.
    "two targets without a home": Course(
        dict(
            [
                counter("imported", "site", f"0+{3 * KILOWATT}x70"),
                counter("exported", "site", "0x70"),
                counter("imported", "site", "0x70", instance="b"),
                counter("exported", "site", f"0+{3 * KILOWATT}x70", instance="b"),
                price("import", "0.3x70"),
                price("import", "0.3x70", instance="b"),
                price("export", "0.1x70"),
                price("export", "0.1x70", instance="b"),
            ]
        ),
        [
            (
                60,
                "sum by (home, item) (powerwall:home_cost:day) != 0",
                {'{home="a",item="import"}': 0.9, '{home="b",item="export"}': -0.3},
            ),
        ],
    ),
    # Behind one utility meter 3 kW in and 3 kW out are nothing. Each gateway's own bill stays what it is.
    "two gateways of one home that cancel": Course(
        dict(
            [
                counter("imported", "site", f"0+{3 * KILOWATT}x70", home="villa"),
                counter("exported", "site", "0x70", home="villa"),
                counter("imported", "site", "0x70", instance="b", home="villa"),
                counter("exported", "site", f"0+{3 * KILOWATT}x70", instance="b", home="villa"),
                price("import", "0.3x70", home="villa"),
                price("import", "0.3x70", instance="b", home="villa"),
                price("export", "0.1x70", home="villa"),
                price("export", "0.1x70", instance="b", home="villa"),
                series("powerwall_tariff_standing_charge", "0.45x70", currency="EUR", home="villa"),
                series(
                    "powerwall_tariff_standing_charge", "0.45x70", currency="EUR", home="villa", instance="b"
                ),
            ]
        ),
        [
            bill(60, "day", "home", {"import": 0.0, "export": 0.0, "standing_charge": 0.45}),
            (60, "sum by (home) (powerwall:home_cost:day)", {'{home="villa"}': 0.45}),
            (
                60,
                'sum by (instance, item) (powerwall:gateway_cost:day{item!="standing_charge"}) != 0',
                {'{instance="a",item="import"}': 0.9, '{instance="b",item="export"}': -0.3},
            ),
        ],
    ),
    # 3 kW in at the one, 1 kW out at the other, and the first one's own 0.5 kW out in the same minutes: 2 kW of the
    # first pair are left, and what one meter counts both ways stays.
    "two gateways of one home that cancel in part": Course(
        dict(
            [
                counter("imported", "site", f"0+{3 * KILOWATT}x70", home="villa"),
                counter("exported", "site", f"0+{KILOWATT // 2}x70", home="villa"),
                counter("imported", "site", "0x70", instance="b", home="villa"),
                counter("exported", "site", f"0+{KILOWATT}x70", instance="b", home="villa"),
            ]
        ),
        [
            (
                60,
                'sum by (direction) (powerwall:home_joules:day{category="site"})',
                {'{direction="imported"}': 2 * 3.6e6, '{direction="exported"}': 0.5 * 3.6e6},
            ),
        ],
    ),
    # The second gateway of a home is there from minute 20 on: no day begins by that, and no second standing charge.
    "a gateway that comes to a home": Course(
        dict(
            [
                counter("imported", "site", f"0+{3 * KILOWATT}x50", home="villa"),
                counter("imported", "site", f"_x20 0+{3 * KILOWATT}x30", instance="b", home="villa"),
                price("import", "0.3x50", home="villa"),
                price("import", "_x20 0.3x30", instance="b", home="villa"),
                series("powerwall_tariff_standing_charge", "0.45x50", currency="EUR", home="villa"),
                series(
                    "powerwall_tariff_standing_charge",
                    "_x20 0.45x30",
                    currency="EUR",
                    home="villa",
                    instance="b",
                ),
            ]
        ),
        [
            bill(40, "day", "home", {"import": 0.05 * 0.3 * (40 + 20), "standing_charge": 0.45}),
            (40, "powerwall:home_cost:yesterday", {}),
        ],
    ),
    "periods": Course(
        dict(
            [
                counter("imported", "site", f"0+{KILOWATT}x130"),
                price("import", "0.2x59 0.4x70"),
                series("powerwall_tariff_import_period", "1x59 0x70", period="night"),
                series("powerwall_tariff_import_period", "0x59 1x70", period="day"),
            ]
        ),
        [
            (
                120,
                "sum by (period) (powerwall:home_cost:day)",
                {'{period="night"}': 59 / 60 * 0.2, '{period="day"}': 61 / 60 * 0.4},
            ),
            (
                120,
                'sum by (period) (powerwall:home_joules:day{category="site"}) / 3.6e6',
                {'{period="night"}': 59 / 60, '{period="day"}': 61 / 60},
            ),
        ],
    ),
    # The home uses 2 kW, 1 of them from the grid (0.30), and feeds in 3 kW (0.10): 0.60 without battery and sun,
    # 0.30 − 0.30 with them.
    "savings": Course(
        dict(
            [
                counter("imported", "load", f"0+{2 * KILOWATT}x70"),
                counter("imported", "site", f"0+{KILOWATT}x70"),
                counter("exported", "site", f"0+{3 * KILOWATT}x70"),
                price("import", "0.3x70"),
                price("export", "0.1x70"),
                series("powerwall_tariff_standing_charge", "0.45x70", currency="EUR"),
            ]
        ),
        [
            (60, "sum by (currency) (powerwall:home_saved:day)", {'{currency="EUR"}': 0.6}),
            (60, "sum by (currency) (powerwall:home_saved:month)", {'{currency="EUR"}': 0.6}),
        ],
    ),
    # A counter that begins anew costs its minute, and nothing else.
    "a counter that begins anew": Course(
        dict(
            [
                counter("imported", "site", f"5e12+{KILOWATT}x30 0+{KILOWATT}x40"),
                price("import", "0.3x80"),
            ]
        ),
        [bill(61, "day", "gateway", {"import": 0.3})],
    ),
}


# A day of the field, by the energy balance of all four, at a scale of 1 kWh to 1 MJ an hour: solar 18 kWh, 8.3 into the
# battery. The meter counts phase by phase and shows 15.9 out and 15.2 in, but only 0.7 left. 1 − 0.7 / 18 = 0.961.
FIELD_DAY = dict(
    [
        counter("exported", "solar", "0+300000x70"),
        counter("imported", "load", "0+150000x70"),
        counter("imported", "battery", "0+138333x70"),
        counter("exported", "battery", "0x70"),
        counter("exported", "site", "0+265000x70"),
        counter("imported", "site", "0+253333x70"),
    ]
)
SHARES = {
    "a meter that counts phase by phase": Course(
        FIELD_DAY,
        [
            (
                20,
                "round(powerwall:home_self_consumption:ratio1d * 1000) / 1000",
                {'{home="a",job="powerwall"}': 0.961},
            )
        ],
    ),
    # 1 kW of sun goes to the home of 1 kW, while the battery sells 3 kW: no sun left.
    "a battery that sells to the grid": Course(
        dict(
            [
                counter("exported", "solar", f"0+{KILOWATT}x25"),
                counter("imported", "load", f"0+{KILOWATT}x25"),
                counter("exported", "battery", f"0+{3 * KILOWATT}x25"),
                counter("exported", "site", f"0+{3 * KILOWATT}x25"),
            ]
        ),
        [
            (20, "sum(powerwall:home_self_consumption:ratio1d)", {"{}": 1.0}),
            (20, "sum(powerwall:home_self_sufficiency:ratio1d)", {"{}": 1.0}),
            (20, "powerwall:self_consumption:ratio1d", {'{instance="a",job="powerwall"}': 1.0}),
        ],
    ),
    # 5 kW of sun: 2 to the home, 1 to the battery, 2 to the grid.
    "sun for all three": Course(
        dict(
            [
                counter("exported", "solar", f"0+{5 * KILOWATT}x25"),
                counter("imported", "load", f"0+{2 * KILOWATT}x25"),
                counter("imported", "battery", f"0+{KILOWATT}x25"),
                counter("exported", "site", f"0+{2 * KILOWATT}x25"),
            ]
        ),
        [
            (20, "sum(powerwall:home_self_consumption:ratio1d)", {"{}": 0.6}),
            (20, "powerwall:self_sufficiency:ratio1d", {'{instance="a",job="powerwall"}': 1.0}),
        ],
    ),
    # Ten minutes of 4 kW from the grid, 1 for the home and 3 for the battery; then ten minutes in which the battery
    # alone feeds the home's 1 kW. All of it came from the grid in the end.
    "a battery that is charged from the grid": Course(
        dict(
            [
                counter("exported", "solar", "0x25"),
                counter("imported", "load", f"0+{KILOWATT}x25"),
                counter("imported", "battery", f"0+{3 * KILOWATT}x10 {30 * KILOWATT}x20"),
                counter("exported", "battery", f"0x10 {KILOWATT}+{KILOWATT}x20"),
                counter("imported", "site", f"0+{4 * KILOWATT}x10 {40 * KILOWATT}x20"),
            ]
        ),
        [
            (20, "sum(powerwall:home_self_sufficiency:ratio1d)", {"{}": 0.0}),
            (20, "powerwall:home_self_consumption:ratio1d", {}),
        ],
    ),
    # The home uses 2 kW: 1 from the sun, 1 from the grid.
    "half of it from the sun": Course(
        dict(
            [
                counter("exported", "solar", f"0+{KILOWATT}x25"),
                counter("imported", "load", f"0+{2 * KILOWATT}x25"),
                counter("imported", "site", f"0+{KILOWATT}x25"),
            ]
        ),
        [(20, "sum(powerwall:home_self_sufficiency:ratio1d)", {"{}": 0.5})],
    ),
}

STATES = {
    # 10 kWh at 50 % and 30 kWh at 90 %: 80 % of the home, not 70 %.
    "charge weighed by capacity": Course(
        dict(
            [
                series("powerwall_charge_app_ratio", "0.5x20", home="villa"),
                series("powerwall_charge_app_ratio", "0.9x20", home="villa", instance="b"),
                series("powerwall_full_pack_joules", "36e6x20", home="villa"),
                series("powerwall_configured_capacity_joules", "72e6x20", home="villa"),
                series("powerwall_configured_capacity_joules", "108e6x20", home="villa", instance="b"),
                series("powerwall_tls_pinned", "1x20", home="villa"),
                series("powerwall_tls_pinned", "1x20", home="villa", instance="b"),
            ]
        ),
        [(10, "powerwall:home_charge:ratio", {'{home="villa",job="powerwall"}': 0.8})],
    ),
    # Power of several gateways is added; 5 kWh + 0.9 × 30 kWh at 4 kW last 8 hours.
    "power and time left of two gateways": Course(
        dict(
            [
                series("powerwall_remaining_joules", "18e6x20", home="villa"),
                series("powerwall_charge_ratio", "0.9x20", home="villa", instance="b"),
                series("powerwall_configured_capacity_joules", "108e6x20", home="villa", instance="b"),
                series("powerwall_instant_power_watts", "3000x20", home="villa", category="load"),
                series(
                    "powerwall_instant_power_watts", "1000x20", home="villa", category="load", instance="b"
                ),
                series("powerwall_grid_connected", "1x20", home="villa"),
                series("powerwall_grid_connected", "0x20", home="villa", instance="b"),
                series("powerwall_tls_pinned", "1x20", home="villa"),
                series("powerwall_tls_pinned", "1x20", home="villa", instance="b"),
            ]
        ),
        [
            (
                10,
                "powerwall:home_instant_power_watts",
                {'{category="load",home="villa",job="powerwall"}': 4000.0},
            ),
            (
                10,
                "powerwall:home_backup_time_remaining:seconds",
                {'{home="villa",job="powerwall"}': 8 * 3600.0},
            ),
            (
                10,
                "powerwall:backup_time_remaining:seconds",
                {'{instance="a",job="powerwall"}': 6000.0, '{instance="b",job="powerwall"}': 97200.0},
            ),
            (10, "sum(powerwall:home_grid_connected)", {"{}": 0.0}),
        ],
    ),
}

OUTAGES = {
    # Off the grid from minute 10 to 29, with minutes 20 to 24 unknown, and from 40 to 44. The charge falls to 70 % in
    # the first, and to 80 % in the second.
    "two outages, one with a gap": Course(
        dict(
            [
                series("powerwall_tls_pinned", "1x60"),
                series("powerwall_grid_connected", "1x9 0x9 stale _x4 0x4 1x9 0x4 1x10"),
                series("powerwall_charge_app_ratio", "0.9x19 stale _x4 0.7x14 0.8x20"),
            ]
        ),
        [
            (9, "sum(powerwall:outages:count30d)", {"{}": 0.0}),
            (22, "powerwall:off_grid_seconds:minute", {}),
            (35, "sum(powerwall:outage:begin_timestamp_seconds)", {"{}": 9 * 60.0}),
            (35, "sum(powerwall:outage:known_seconds)", {"{}": 15 * 60.0}),
            (35, "sum(powerwall:outage:lowest_charge_ratio)", {"{}": 0.7}),
            (55, "sum(powerwall:outage:begin_timestamp_seconds)", {"{}": 39 * 60.0}),
            (55, "sum(powerwall:outage:known_seconds)", {"{}": 5 * 60.0}),
            (55, "sum(powerwall:outage:lowest_charge_ratio)", {"{}": 0.8}),
            (55, "powerwall:outages:count30d", {'{home="a",instance="a",job="powerwall"}': 2.0}),
            (55, "sum(powerwall:off_grid_seconds:sum30d)", {"{}": 20 * 60.0}),
            (55, "sum(powerwall:grid_unknown_seconds:sum30d)", {"{}": 5 * 60.0}),
        ],
    ),
    # What is remembered of an outage survives an exporter that is down, and ends with the gateway.
    "a gateway that is removed": Course(
        dict(
            [
                series("powerwall_tls_pinned", "1x20 stale _x9 1x10 stale"),
                series("powerwall_grid_connected", "1x5 0x5 1x8 stale _x9 1x10 stale"),
                series("powerwall_charge_app_ratio", "0.9x19 stale _x9 0.9x10 stale"),
            ]
        ),
        [
            (25, "{__name__=~'powerwall:outage:.+'}", {}),
            (35, "sum(powerwall:outage:begin_timestamp_seconds)", {"{}": 5 * 60.0}),
            (35, "sum(powerwall:outage:known_seconds)", {"{}": 6 * 60.0}),
            (35, "sum(powerwall:outage:lowest_charge_ratio)", {"{}": 0.9}),
            (50, "{__name__=~'powerwall:outage:.+'}", {}),
        ],
    ),
    # A probe that fails all the time says nothing of the grid.
    "nothing is known": Course(
        dict([series("powerwall_tls_pinned", "1x60")]),
        [(30, "{__name__=~'powerwall:(out|off_grid|grid).+'}", {})],
    ),
}


def calendar(offsets: str, days: int) -> dict[str, str]:
    """1 kW at 0.30 for some days, by a wall clock of these offsets."""
    count = days * DAY
    return dict(
        [
            counter("imported", "site", f"0+{KILOWATT}x{count}"),
            price("import", f"0.3x{count}"),
            series("powerwall_tariff_standing_charge", f"0.45x{count}", currency="EUR"),
            series("powerwall_site_utc_offset_seconds", offsets),
        ]
    )


SUMMER = 1380 + 60
"""The clock is put forward or back in the second day, an hour after it began (at 23:00 UTC, or at 22:00)."""

CALENDAR = {
    # UTC+1 until 00:00 UTC of the second, then UTC+2: the day that began at 23:00 UTC ends at 22:00 UTC.
    "a day of 23 hours": Course(
        calendar(f"3600x{SUMMER} 7200x{2 * DAY}", 3),
        [
            (1380, 'sum(powerwall:home_joules:yesterday{category="site"}) / 3.6e6', {"{}": 1379 / 60}),
            bill(1380, "yesterday", "home", {"import": 1379 / 60 * 0.3, "standing_charge": 0.45}),
            bill(1380, "day", "home", {"import": 1 / 60 * 0.3, "standing_charge": 0.45}),
            bill(2759, "day", "home", {"import": 1380 / 60 * 0.3, "standing_charge": 0.45}),
            bill(2760, "yesterday", "home", {"import": 23 * 0.3, "standing_charge": 0.45}),
            bill(2760, "day", "home", {"import": 1 / 60 * 0.3, "standing_charge": 0.45}),
            bill(2760, "month", "home", {"import": 46 * 0.3, "standing_charge": 3 * 0.45}),
        ],
    ),
    # UTC+2, then UTC+1: from 22:00 UTC to 23:00 UTC of the day after.
    "a day of 25 hours": Course(
        calendar(f"7200x{SUMMER} 3600x{2 * DAY}", 3),
        [
            bill(1320, "yesterday", "home", {"import": 1319 / 60 * 0.3, "standing_charge": 0.45}),
            bill(2819, "day", "home", {"import": 25 * 0.3, "standing_charge": 0.45}),
            bill(2820, "yesterday", "home", {"import": 25 * 0.3, "standing_charge": 0.45}),
            bill(2820, "month", "home", {"import": 47 * 0.3, "standing_charge": 3 * 0.45}),
        ],
    ),
}


def check(course: Course, folder: Path, *files: Path) -> None:
    """Play a course through these files of rules, in this order; recording.yml alone where none is named."""
    files = files or (RECORDING,)
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in course.series.items()],
        "promql_expr_test": [question(*one) for one in course.expected],
    }
    document = {
        "rule_files": [str(file) for file in files],
        "evaluation_interval": "1m",
        "group_eval_order": [
            group["name"] for file in files for group in yaml.safe_load(file.read_text())["groups"]
        ],
        "tests": [test],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(document))
    ended = subprocess.run(
        [program("promtool"), "test", "rules", folder / "test.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def question(minute: int, query: str, expected: dict[str, float]) -> dict[str, Any]:
    """A query whose values are rounded to a millionth."""
    samples = [
        {"labels": labels, "value": float(f"{round(value, 6) + 0.0:.6f}")}
        for labels, value in expected.items()
    ]
    return {"expr": f"round(({query}) * 1e6) / 1e6", "eval_time": f"{minute}m", "exp_samples": samples}


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
def test_a_bill_by_hand(course: Course, tmp_path: Path) -> None:
    check(course, tmp_path)


OTHERS = {**SHARES, **STATES}


@pytest.mark.parametrize("course", OTHERS.values(), ids=OTHERS)
def test_shares_and_states_by_hand(course: Course, tmp_path: Path) -> None:
    check(course, tmp_path)


@pytest.mark.parametrize("course", OUTAGES.values(), ids=OUTAGES)
def test_outages_by_hand(course: Course, tmp_path: Path) -> None:
    check(course, tmp_path, RECORDING, OUTAGE_RULES)


def test_a_day_and_a_month_begin_at_the_homes_midnight(tmp_path: Path) -> None:
    """The last half hour of 1969 by a clock that is half an hour behind, then 1970."""
    course = Course(
        {
            **dict([counter("imported", "site", f"0+{KILOWATT}x70"), price("import", "0.3x70")]),
            **dict([series("powerwall_site_utc_offset_seconds", "-1800x70")]),
        },
        [
            bill(29, "month", "home", {"import": 29 / 60 * 0.3}),
            bill(30, "yesterday", "home", {"import": 29 / 60 * 0.3}),
            bill(30, "day", "home", {"import": 1 / 60 * 0.3}),
            bill(30, "month", "home", {"import": 1 / 60 * 0.3}),
            bill(60, "yesterday", "home", {"import": 29 / 60 * 0.3}),
            bill(60, "day", "gateway", {"import": 31 / 60 * 0.3}),
            bill(60, "month", "gateway", {"import": 31 / 60 * 0.3}),
        ],
    )
    check(course, tmp_path)


def test_the_recipe_for_prices_from_elsewhere(tmp_path: Path) -> None:
    """1 kW for an hour: half of it at 0.10 + 0.14, half at −0.04 + 0.14. The other gateway has a tariff."""
    page = (FOLDER.parents[2] / "docs" / "prices.md").read_text(encoding="utf-8")
    (recipe,) = (block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "groups:" in block)
    (tmp_path / "spot.yml").write_text(recipe, encoding="utf-8")
    course = Course(
        dict(
            [
                counter("imported", "site", f"0+{KILOWATT}x70"),
                series("powerwall_tls_pinned", "1x70"),
                counter("imported", "site", f"0+{KILOWATT}x70", instance="b"),
                series("powerwall_tls_pinned", "1x70", instance="b"),
                price("import", "0.3x70", instance="b"),
            ]
        )
        | {"spot_price_eur_per_kwh": "0.1x30 -0.04x40"},
        [
            (
                60,
                "sum by (instance, currency) (powerwall:gateway_cost:day)",
                {
                    '{currency="EUR",instance="a"}': 30 / 60 * 0.24 + 30 / 60 * 0.1,
                    '{currency="EUR",instance="b"}': 0.3,
                },
            )
        ],
    )
    check(course, tmp_path, tmp_path / "spot.yml", RECORDING)


@pytest.mark.slow
@pytest.mark.parametrize("course", CALENDAR.values(), ids=CALENDAR)
def test_a_day_is_the_homes_own(course: Course, tmp_path: Path) -> None:
    check(course, tmp_path)


def test_every_record_is_worked_out_by_hand_or_feeds_one_that_is() -> None:
    """A record that no course asks for must be part of an expression of one that a course does ask for."""
    rules = [
        rule
        for file in (RECORDING, OUTAGE_RULES)
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]
    courses = [*COURSES.values(), *OTHERS.values(), *OUTAGES.values(), *CALENDAR.values()]
    asked = " ".join(query for course in courses for _, query, _ in course.expected)
    used = set(re.findall(r"powerwall:[\w:]+", asked))
    while more := {
        name
        for rule in rules
        if rule["record"] in used
        for name in re.findall(r"powerwall:[\w:]+", rule["expr"])
        if name not in used
    }:
        used |= more
    assert {rule["record"] for rule in rules} - used == set(RECORDINGS)
