"""The dashboard *site*: one gateway, from the flow of power to the state of its batteries; rows open on demand."""

from __future__ import annotations

from equipment import ALERTS, BATTERIES, GATEWAY, POWERWALL_3, QUALITY, SOLAR_PANELS
from parts import BAD, BATTERY, CALM, Board, Panel, outages
from queries import KWH, SITE, SMALL, energy, states, watts

UID = "powerwall-site"


def energies(window: str) -> dict[str, str]:
    """The four energies of a home in a window before each moment, by legend."""
    return {
        "Solar": energy("exported", "solar", window),
        "Home": energy("imported", "load", window),
        "Grid": energy("imported", "site", window),
        "Battery": energy("exported", "battery", window),
    }


RULES = "No data. Prometheus needs the files of examples/prometheus/rules."
PRICES = (
    "No price. Write a tariff below tariffs: in the exporter's configuration, and load the recording rules."
)
ITS_HOME = f"and on (job, home) powerwall:gateway:home{{{SITE}}}"
"""Keeps what belongs to the home of this gateway."""

MEAN_USE = f"clamp_min(sum by (instance) (avg_over_time({watts('load')}[15m])), 50)"
"""Watts of the last quarter of an hour."""

STORED = (
    f"(powerwall_remaining_joules{{{SITE}}} or on (instance) powerwall_charge_ratio{{{SITE}}} "
    f"* on (instance) powerwall_configured_capacity_joules{{{SITE}}})"
)
"""Joules in the batteries: told, or worked out from the charge and the configured capacity."""


def by_day(direction: str, category: str) -> str:
    """kWh of the last whole day by the home's own clock."""
    labels = f'category="{category}",direction="{direction}"'
    return f"sum(powerwall:home_joules:yesterday{{{labels}}} {ITS_HOME}) {KWH}"


NOW = (
    Panel("Solar", "Production now.", {"Solar": watts("solar")}, "watt", **SMALL),
    Panel("Home", "Use now.", {"Home": watts("load")}, "watt", **SMALL),
    Panel("Battery", "+ is discharging, − is charging.", {"Battery": watts("battery")}, "watt", **SMALL),
    Panel("Grid", "+ draws from the grid, − feeds it.", {"Grid": watts("site")}, "watt", **SMALL),
    Panel(
        "Charge",
        "As Tesla's app shows it.",
        {"Battery": f"powerwall_charge_app_ratio{{{SITE}}}"},
        "percentunit",
        **SMALL,
    ),
    Panel(
        "Reserve",
        "The charge that is kept for an outage, as in the app.",
        {"reserve": f"powerwall_reserve_app_ratio{{{SITE}}}"},
        "percentunit",
        **SMALL,
    ),
    Panel(
        "Mode",
        "The operation mode that the owner chose.",
        {"{{state}}": f"powerwall_operation_mode_state{{{SITE}}} == 1"},
        **SMALL,
    ),
    Panel(
        "Time left on battery",
        "The time for which the batteries can supply the home alone, at its mean use of the last quarter of an hour.",
        {"left": f"{STORED} / on (instance) {MEAN_USE}"},
        "s",
        missing="No data. A Powerwall 3 needs capacity: in the configuration.",
        **SMALL,
    ),
)

FLOW = (
    Panel(
        "Power",
        "Battery: + is discharging. Grid: + draws, − feeds. Dashes: charge, on the right. Shaded: no grid. "
        "A gap is a failed probe.",
        {
            "Solar": watts("solar"),
            "Home": watts("load"),
            "Battery": watts("battery"),
            "Grid": watts("site"),
            "Charge": f"powerwall_charge_app_ratio{{{SITE}}}",
        },
        "watt",
        width=24,
        height=10,
        colours={"Charge": BATTERY},
        right="Charge",
    ),
    Panel(
        "Charge and reserve",
        "As Tesla's app shows them: it hides the lowest 5 % of the pack.",
        {
            "Battery": f"powerwall_charge_app_ratio{{{SITE}}}",
            "reserve": f"powerwall_reserve_app_ratio{{{SITE}}}",
        },
        "percentunit",
        low=0,
        high=1,
        colours={"reserve": CALM},
    ),
    states(
        "Grid state",
        "The state of the connection. SystemGridConnected is the normal one.",
        "powerwall_grid_status",
        "",
    ),
)

SUM = {"kind": "stat", "width": 4, "height": 4, "decimals": 1}

SHARE = {"kind": "stat", "width": 4, "height": 4, "decimals": 0}

USED, PRODUCED = energy("imported", "load"), energy("exported", "solar")
DRAWN, FED = energy("imported", "site"), energy("exported", "site")

ENERGY = (
    Panel("Solar energy", "Over the time shown.", {"Solar": PRODUCED}, "kwatth", **SUM),
    Panel("Energy used", "Over the time shown.", {"Home": USED}, "kwatth", **SUM),
    Panel("From the grid", "Over the time shown.", {"Grid": DRAWN}, "kwatth", **SUM),
    Panel("To the grid", "Over the time shown.", {"Grid": FED}, "kwatth", **SUM),
    Panel(
        "Net from the grid",
        "Drawn less fed, over the time shown; − is more fed than drawn.",
        {"Grid": f"sum({DRAWN}) - sum({FED})"},
        "kwatth",
        kind="stat",
        width=8,
        height=4,
        decimals=1,
    ),
    Panel(
        "Saved",
        "Over the time shown: the home's use, all of it from the grid at the prices of its time, less the bill.",
        {"saved": f"sum(sum_over_time(powerwall:home_saved:minute[$__range]) {ITS_HOME})"},
        kind="stat",
        width=8,
        height=4,
        decimals=2,
        missing=PRICES,
    ),
    Panel(
        "Price of a kWh",
        "Drawn from the grid, and fed into it, by the tariff.",
        {
            "Import": f"powerwall_tariff_import_price{{{SITE}}}",
            "Export": f"powerwall_tariff_export_price{{{SITE}}}",
        },
        kind="stat",
        width=8,
        height=4,
        decimals=3,
        missing="No price. Write a tariff below tariffs: in the exporter's configuration.",
    ),
    Panel(
        "Bill",
        "Over the time shown, of this gateway's own meter, with the standing charge; below 0 where more was earned.",
        {"bill": f"sum(sum_over_time(powerwall:gateway_cost:minute{{{SITE}}}[$__range]))"},
        kind="stat",
        width=8,
        height=4,
        decimals=2,
        missing=PRICES,
    ),
    Panel(
        "Battery charged",
        "Energy into it, over the time shown.",
        {"Battery": energy("imported", "battery")},
        "kwatth",
        **SUM,
    ),
    Panel(
        "Battery discharged",
        "Energy out of it, over the time shown.",
        {"Battery": energy("exported", "battery")},
        "kwatth",
        **SUM,
    ),
    Panel(
        "Self-sufficiency",
        "Of the last 24 hours: the part of the use that came from the grid neither directly nor by way of the battery.",
        {"ratio": f"powerwall:self_sufficiency:ratio1d{{{SITE}}}"},
        "percentunit",
        missing=RULES,
        **SHARE,
    ),
    Panel(
        "Self-consumption",
        "Of the last 24 hours: the part of the production that did not leave. What the battery sells does not count.",
        {"ratio": f"powerwall:self_consumption:ratio1d{{{SITE}}}"},
        "percentunit",
        missing=RULES,
        **SHARE,
    ),
    Panel(
        "Highest solar power",
        "The highest production in the time shown.",
        {"Solar": f"max_over_time({watts('solar')}[$__range])"},
        "watt",
        **SUM,
    ),
    Panel(
        "Highest use",
        "The highest use in the time shown.",
        {"Home": f"max_over_time({watts('load')}[$__range])"},
        "watt",
        **SUM,
    ),
    Panel(
        "Energy by hour",
        "The energy of the hour before each moment. Grid: drawn. Battery: discharged.",
        energies("1h"),
        "kwatth",
    ),
    Panel(
        "Energy by day",
        "Thirty days by the home's own clock; each bar is drawn in the day after its own. Of all gateways of the home.",
        {
            "Solar": by_day("exported", "solar"),
            "Home": by_day("imported", "load"),
            "Grid": by_day("imported", "site"),
            "Battery": by_day("exported", "battery"),
        },
        "kwatth",
        daily=True,
        missing="No day has ended since the rules were loaded.",
    ),
)


OUTAGES = (
    Panel(
        "Outages in 30 days",
        "Only from known samples.",
        {"Number": f"powerwall:outages:count30d{{{SITE}}}"},
        kind="stat",
        width=4,
        height=8,
        decimals=0,
        missing=RULES,
    ),
    Panel(
        "Time off the grid in 30 days",
        "Known, and the time of which nothing is known. Prometheus must keep 30 days.",
        {
            "Off the grid": f"powerwall:off_grid_seconds:sum30d{{{SITE}}}",
            "Unknown": f"powerwall:grid_unknown_seconds:sum30d{{{SITE}}}",
        },
        "s",
        kind="stat",
        width=8,
        height=8,
        missing=RULES,
    ),
    outages(SITE, width=12, height=8),
)


def build() -> Board:
    """The dashboard."""
    board = Board(
        "Powerwall site",
        UID,
        "One gateway: power, energy, outages, batteries, solar, grid, the gateway itself. Rows open with a click.",
        ("Home", "powerwall-home"),
        ("Fleet", "powerwall-fleet"),
    )
    board.sites(multi=False)
    board.mark("Off the grid", f"powerwall_grid_connected{{{SITE}}} == 0", BAD)
    board.row("Now", NOW)
    board.row("Power", FLOW)
    for title, panels in (
        ("Energy", ENERGY),
        ("Outages", OUTAGES),
        ("Batteries", BATTERIES),
        ("Solar", SOLAR_PANELS),
        ("Powerwall 3", POWERWALL_3),
        ("Grid quality", QUALITY),
        ("Alerts", ALERTS),
        ("Gateway", GATEWAY),
    ):
        board.row(title, panels, folded=True)
    return board
