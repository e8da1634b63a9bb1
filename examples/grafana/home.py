"""The dashboard *home*: a home as its owner sees it, of one gateway or several; it stands on the recording rules."""

from __future__ import annotations

from parts import BAD, BATTERY, GOOD, Board, Panel, outages
from queries import KWH

UID = "powerwall-home"
HOME = 'job=~"$job",home="$home"'
RULES = "No data. Prometheus needs the files of examples/prometheus/rules."
PRICES = "No price. Write a tariff below tariffs: in the exporter's configuration."


def power(category: str) -> str:
    """Watts of one category, of all gateways of the home."""
    return f'powerwall:home_instant_power_watts{{category="{category}",{HOME}}}'


def energy(direction: str, category: str, window: str) -> str:
    """kWh of one category, of today (day) or of the last whole day (yesterday), by the home's own clock."""
    labels = f'category="{category}",direction="{direction}",{HOME}'
    return f"sum(powerwall:home_joules:{window}{{{labels}}}) {KWH}"


def energies(window: str) -> dict[str, str]:
    """The energies of a home by legend."""
    return {
        "Solar": energy("exported", "solar", window),
        "Home": energy("imported", "load", window),
        "From the grid": energy("imported", "site", window),
        "To the grid": energy("exported", "site", window),
    }


def cost(window: str, item: str) -> str:
    """Money of one item of the bill."""
    return f'sum(powerwall:home_cost:{window}{{item="{item}",{HOME}}})'


def bill(window: str) -> dict[str, str]:
    """The bill of a day or month, by legend."""
    return {
        "To pay": f"sum(powerwall:home_cost:{window}{{{HOME}}})",
        "Import": cost(window, "import"),
        "Export": cost(window, "export"),
        "Standing charge": cost(window, "standing_charge"),
    }


CHARGE = f"powerwall:home_charge:ratio{{{HOME}}}"
WHOLE = {"kind": "stat", "height": 4, "missing": RULES}

NOW = (
    Panel(
        "Power now",
        "Battery: + is discharging, − is charging. Grid: + draws, − feeds.",
        {"Solar": power("solar"), "Home": power("load"), "Battery": power("battery"), "Grid": power("site")},
        "watt",
        width=12,
        **WHOLE,
    ),
    Panel(
        "Charge",
        "As Tesla's app shows it; of several gateways weighted by their capacity.",
        {"Battery": CHARGE},
        "percentunit",
        width=3,
        **WHOLE,
    ),
    Panel(
        "Time left on battery",
        "The time for which the batteries can supply the home alone, at its mean use of the last quarter of an hour.",
        {"left": f"powerwall:home_backup_time_remaining:seconds{{{HOME}}}"},
        "s",
        width=3,
        kind="stat",
        height=4,
        missing="No data. A Powerwall 3 needs capacity: in the configuration.",
    ),
    Panel(
        "Grid",
        "The state of the connection to the grid.",
        {"grid": f"powerwall:home_grid_connected{{{HOME}}}"},
        words={"1": ("on grid", GOOD), "0": ("off grid", BAD)},
        width=3,
        **WHOLE,
    ),
    Panel(
        "Price of a kWh now",
        "Of the tariff, drawn from the grid.",
        {"{{currency}}": f"powerwall:home_import_price{{{HOME}}}"},
        width=3,
        kind="stat",
        height=4,
        decimals=3,
        named=True,
        missing=PRICES,
    ),
)

COURSE = (
    Panel(
        "Power",
        "Battery: + is discharging. Grid: + draws, − feeds. Dashes: charge, on the right. Shaded: no grid.",
        {
            "Solar": power("solar"),
            "Home": power("load"),
            "Battery": power("battery"),
            "Grid": power("site"),
            "Charge": CHARGE,
        },
        "watt",
        width=24,
        height=10,
        colours={"Charge": BATTERY},
        right="Charge",
        missing=RULES,
    ),
)

TODAY = (
    Panel(
        "Energy today",
        "Since midnight by the home's own clock.",
        energies("day"),
        "kwatth",
        width=12,
        decimals=1,
        **WHOLE,
    ),
    Panel(
        "Cost today",
        "Since midnight, in the currency of the tariff; what was earned is below 0.",
        bill("day"),
        width=12,
        kind="stat",
        height=4,
        decimals=2,
        missing=PRICES,
    ),
    Panel(
        "Energy by day",
        "Thirty days by the home's own clock. Each bar is drawn in the day after its own.",
        energies("yesterday"),
        "kwatth",
        daily=True,
        missing="No day has ended since the rules were loaded.",
    ),
    Panel(
        "Cost by day",
        "Thirty days, in the currency of the tariff. Each bar is drawn in the day after its own.",
        bill("yesterday"),
        daily=True,
        decimals=2,
        missing="No day with a tariff has ended since the rules were loaded.",
    ),
    Panel(
        "This month",
        "Since the month began by the home's own clock, or since the rules were loaded. Saved: the same use, all of it "
        "from the grid at the prices of its time, less import and export.",
        {
            **bill("month"),
            "Saved": f"sum(powerwall:home_saved:month{{{HOME}}})",
        },
        width=15,
        kind="stat",
        height=4,
        decimals=2,
        missing=PRICES,
    ),
    Panel(
        "Self-sufficiency and self-consumption",
        "Of the last 24 hours. Self-sufficiency: the part of the use that did not come from the grid. "
        "Self-consumption: the part of the production that did not leave.",
        {
            "Self-sufficiency": f"powerwall:home_self_sufficiency:ratio1d{{{HOME}}}",
            "Self-consumption": f"powerwall:home_self_consumption:ratio1d{{{HOME}}}",
        },
        "percentunit",
        width=9,
        decimals=0,
        **WHOLE,
    ),
)

OUTAGES = (
    Panel(
        "Time off the grid in 30 days",
        "Known, and the time of which nothing is known. Prometheus must keep 30 days.",
        {
            "Off the grid": f"max(powerwall:off_grid_seconds:sum30d{{{HOME}}})",
            "Unknown": f"max(powerwall:grid_unknown_seconds:sum30d{{{HOME}}})",
        },
        "s",
        width=12,
        **{**WHOLE, "height": 8},
    ),
    outages(HOME, width=12, height=8),
)


def build() -> Board:
    """The dashboard."""
    board = Board(
        "Powerwall home",
        UID,
        "A home of one gateway or several: power, energy, cost, outages.",
        ("Site", "powerwall-site"),
    )
    board.jobs()
    board.choice("home", "Home", 'label_values(powerwall:gateway:home{job=~"$job"}, home)', multi=False)
    board.mark("Off the grid", f"powerwall:home_grid_connected{{{HOME}}} == 0", BAD)
    board.row("Now", NOW)
    board.row("Power", COURSE)
    board.row("Energy and cost", TODAY)
    board.row("Outages", OUTAGES)
    return board
