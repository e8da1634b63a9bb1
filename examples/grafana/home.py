"""The dashboard *site*: one home, from the flow of power to the state of its batteries and of its gateway."""

from __future__ import annotations

from equipment import ALERTS, BATTERIES, GATEWAY, QUALITY, SOLAR_PANELS
from parts import BAD, BATTERY, CALM, Board, Panel
from queries import SITE, SMALL, energy, states, watts

UID = "powerwall-site"


def energies(window: str) -> dict[str, str]:
    """The four energies of a home in a window before each moment, by legend."""
    return {
        "Solar": energy("exported", "solar", window),
        "Home": energy("imported", "load", window),
        "Grid": energy("imported", "site", window),
        "Battery": energy("exported", "battery", window),
    }


MEAN_USE = f"clamp_min(sum by (instance) (avg_over_time({watts('load')}[15m])), 50)"
"""Watts of the last quarter of an hour."""

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
        "What is kept for an outage, as in the app.",
        {"reserve": f"powerwall_reserve_app_ratio{{{SITE}}}"},
        "percentunit",
        **SMALL,
    ),
    Panel(
        "Mode",
        "What the owner chose.",
        {"{{state}}": f"powerwall_operation_mode_state{{{SITE}}} == 1"},
        **SMALL,
    ),
    Panel(
        "Lasts for",
        "How long the batteries could carry the home alone, at its mean use of the last quarter of an hour.",
        {"lasts": f"powerwall_remaining_joules{{{SITE}}} / on (instance) {MEAN_USE}"},
        "s",
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
        "Grid", "The state that holds. SystemGridConnected is the normal one.", "powerwall_grid_status", ""
    ),
)

SUM = {"kind": "stat", "width": 4, "height": 4, "decimals": 1}

SHARE = {"kind": "stat", "width": 4, "height": 4, "decimals": 0}

USED, PRODUCED = energy("imported", "load"), energy("exported", "solar")
DRAWN, FED = energy("imported", "site"), energy("exported", "site")

ENERGY = (
    Panel("Produced", "Over the time shown.", {"Solar": PRODUCED}, "kwatth", **SUM),
    Panel("Used", "Over the time shown.", {"Home": USED}, "kwatth", **SUM),
    Panel("From the grid", "Over the time shown.", {"Grid": DRAWN}, "kwatth", **SUM),
    Panel("To the grid", "Over the time shown.", {"Grid": FED}, "kwatth", **SUM),
    Panel(
        "Net from the grid",
        "Drawn less fed, over the time shown; − is more fed than drawn.",
        {"Grid": f"sum({DRAWN}) - sum({FED})"},
        "kwatth",
        **SUM,
    ),
    Panel(
        "Saved",
        "Over the time shown, in the currency of the two prices above: use that did not come from the grid at the "
        "price of import, what was fed at the price of export. Nothing else of a tariff counts.",
        {
            "saved": f"(sum({USED}) - sum({DRAWN})) * $import_price + sum({FED}) * $export_price",
        },
        kind="stat",
        width=4,
        height=4,
        decimals=2,
    ),
    Panel("Charged", "Into the battery.", {"Battery": energy("imported", "battery")}, "kwatth", **SUM),
    Panel("Discharged", "Out of the battery.", {"Battery": energy("exported", "battery")}, "kwatth", **SUM),
    Panel(
        "Self-sufficiency",
        "The part of the use that did not come from the grid; charging from the grid counts against it.",
        {"ratio": f"clamp_min(1 - sum({DRAWN}) / (sum({USED}) > 0), 0)"},
        "percentunit",
        **SHARE,
    ),
    Panel(
        "Self-consumption",
        "The part of the production that stayed at home.",
        {"ratio": f"clamp_min(1 - sum({FED}) / (sum({PRODUCED}) > 0), 0)"},
        "percentunit",
        **SHARE,
    ),
    Panel(
        "Most solar",
        "The highest production in the time shown.",
        {"Solar": f"max_over_time({watts('solar')}[$__range])"},
        "watt",
        **SUM,
    ),
    Panel(
        "Most used",
        "The highest use in the time shown.",
        {"Home": f"max_over_time({watts('load')}[$__range])"},
        "watt",
        **SUM,
    ),
    Panel(
        "Energy an hour",
        "The energy of the hour before each moment. Grid: drawn. Battery: discharged.",
        energies("1h"),
        "kwatth",
    ),
    Panel(
        "Energy a day",
        "Thirty days. A bar stands at the midnight that ends its day. Grid: drawn. Battery: discharged.",
        energies("1d"),
        "kwatth",
        daily=True,
    ),
)


def build() -> Board:
    """The dashboard."""
    board = Board(
        "Powerwall site",
        UID,
        "One home: power, energy, batteries, solar, grid, gateway.",
        ("Fleet", "powerwall-fleet"),
    )
    board.sites(multi=False)
    board.amount("import_price", "Price of a kWh drawn", "0.30")
    board.amount("export_price", "of a kWh fed", "0.08")
    board.mark("Off the grid", f"powerwall_grid_connected{{{SITE}}} == 0", BAD)
    for title, panels in (
        ("Now", NOW),
        ("Power", FLOW),
        ("Energy", ENERGY),
        ("Batteries", BATTERIES),
        ("Solar", SOLAR_PANELS),
        ("Grid quality", QUALITY),
        ("Alerts", ALERTS),
        ("Gateway", GATEWAY),
    ):
        board.row(title, panels)
    return board
