"""The dashboard *fleet*: every site at a glance, the troubled first, and how the exporter fares."""

from __future__ import annotations

from parts import BAD, BATTERY, CALM, GOOD, GRID, HOME, SAME_CHOICE, SOLAR, Board, Column, Panel, table

UID = "powerwall-fleet"
SITES = 'job=~"$job",instance=~"$site"'
POWER = "powerwall_instant_power_watts"
BUCKETS = "probe_exporter_probe_duration_seconds_bucket"
OURS = "and on (job, instance) probe_exporter_build_info"
"""Keeps the processes that are exporters, whatever their job is called."""

STATE = f"max by (instance) (probe_success{{{SITES}}} or last_over_time(probe_success{{{SITES}}}[1h]) * 0)"
"""Whether each site answers: 0 for an hour also where Prometheus gets nothing from the exporter any more."""

CORE = f'powerwall_endpoint_age_seconds{{endpoint="meters/aggregates",{SITES}}}'
TOTAL = {"width": 4, "height": 4, "kind": "stat"}

ANSWERS = {"1": ("answers", GOOD), "0": ("fails", BAD)}
CONNECTED = {"1": ("on grid", GOOD), "0": ("off grid", BAD)}


def power(category: str) -> str:
    """Watts of one category, by site."""
    return f'sum by (instance) ({POWER}{{category="{category}",{SITES}}})'


def charge() -> str:
    """State of charge, by site."""
    return f"max by (instance) (powerwall_charge_app_ratio{{{SITES}}})"


def connected() -> str:
    """Whether the grid is there, by site."""
    return f"max by (instance) (powerwall_grid_connected{{{SITES}}})"


COLUMNS = (
    Column("State", STATE, words=ANSWERS),
    Column("Cause", f"max by (instance, reason) (probe_failure_reason{{{SITES}}} == 1)", label="reason"),
    Column("Charge", charge(), "percentunit"),
    Column("Grid", connected(), words=CONNECTED),
    Column("Solar", power("solar"), "watt", SOLAR),
    Column("Home", power("load"), "watt", HOME),
    Column("Battery, + discharges", power("battery"), "watt", BATTERY),
    Column("Grid, + imports", power("site"), "watt", GRID),
    Column("Age of power", f"max by (instance) ({CORE} + (time() - timestamp({CORE})))", "s"),
    Column("Alerts", f"sum by (instance) (powerwall_alerts{{{SITES}}})"),
    Column("Problems", f"max by (instance) (powerwall_problems_detected_count{{{SITES}}})"),
    Column("Batteries", f"max by (instance) (powerwall_batteries_available{{{SITES}}})"),
    Column("Firmware", f"max by (instance, version) (powerwall_info{{{SITES}}})", label="version"),
    Column("Running for", f"max by (instance) (powerwall_uptime_seconds{{{SITES}}})", "s"),
    Column("Login rests for", f"max by (instance) (powerwall_login_cooldown_seconds{{{SITES}}})", "s"),
)

NOW = (
    Panel("Sites", "Gateways that Prometheus scrapes.", {"sites": f"count({STATE})"}, **TOTAL),
    Panel(
        "Failing",
        "Sites whose last probe failed, or that gave nothing in the last minutes.",
        {"failing": f"count({STATE} == 0) or vector(0)"},
        alarm=True,
        **TOTAL,
    ),
    Panel(
        "Off the grid",
        "Sites that run on battery and sun.",
        {"off grid": f"count(max by (instance) (powerwall_grid_connected{{{SITES}}}) == 0) or vector(0)"},
        alarm=True,
        **TOTAL,
    ),
    Panel(
        "Solar",
        "Production of all sites.",
        {"Solar": f'sum({POWER}{{category="solar",{SITES}}})'},
        "watt",
        **TOTAL,
    ),
    Panel(
        "Battery",
        "Power of all batteries; + is discharging, − is charging.",
        {"Battery": f'sum({POWER}{{category="battery",{SITES}}})'},
        "watt",
        **TOTAL,
    ),
    Panel(
        "Stored",
        "Energy in all batteries that tell theirs; Powerwall 3 does not.",
        {"Battery": f"sum(powerwall_remaining_joules{{{SITES}}}) / 3.6e6"},
        "kwatth",
        **TOTAL,
    ),
)

COURSE = (
    Panel("Solar by site", "Production of each site.", {"{{instance}}": power("solar")}, "watt"),
    Panel(
        "Charge by site",
        "As Tesla's app shows it.",
        {"{{instance}}": charge()},
        "percentunit",
        low=0,
        high=1,
    ),
    Panel("Grid by site", "+ draws from the grid, − feeds it.", {"{{instance}}": power("site")}, "watt"),
    Panel(
        "On the grid",
        "When each site was off the grid. A gap is a failed probe.",
        {"{{instance}}": connected()},
        kind="states",
        words=CONNECTED,
    ),
)

TROUBLE = (
    Panel(
        "Why probes fail",
        "Sites by the reason of their failure.",
        {"{{reason}}": f"sum by (reason) (probe_failure_reason{{{SITES}}})"},
        stacked=True,
    ),
    Panel(
        "Duration of probes",
        "The longest of each site. Prometheus' scrape_timeout is the limit.",
        {"{{instance}}": f"max by (instance) (probe_duration_seconds{{{SITES}}})"},
        "s",
    ),
    Panel(
        "Endpoints that fail",
        "Endpoints without an answer, by site; those that a gateway does not have do not count.",
        {"{{instance}}": f"sum by (instance) (powerwall_endpoint_up{{{SITES}}} == bool 0)"},
    ),
    Panel(
        "Words nobody knew",
        "States that this release of the exporter does not know: its log names them. Worth a report.",
        {"{{instance}}": f"sum by (instance) (powerwall_unknown_values{{{SITES}}})"},
    ),
)

EXPORTER = (
    Panel(
        "Probes",
        "Probes a second, and those that failed.",
        {
            "probes": "sum(rate(probe_exporter_probes_total[$__rate_interval]))",
            "failed": "sum(rate(probe_exporter_probe_failures_total[$__rate_interval]))",
        },
        "ops",
        colours={"probes": CALM, "failed": BAD},
    ),
    Panel(
        "Requests to gateways",
        "Of all gateways together, a second.",
        {
            "requests": "sum(rate(probe_exporter_gateway_requests_total[$__rate_interval]))",
            "failed": "sum(rate(probe_exporter_gateway_request_failures_total[$__rate_interval]))",
            "retries": "sum(rate(probe_exporter_retries_total[$__rate_interval]))",
        },
        "ops",
        colours={"requests": CALM, "failed": BAD},
    ),
    Panel(
        "Requests that fail",
        "By what went wrong. rate_limited means that somebody asks a gateway too often.",
        {
            "{{reason}}": "sum by (reason) "
            "(rate(probe_exporter_gateway_request_failures_total[$__rate_interval]))"
        },
        "ops",
        stacked=True,
    ),
    Panel(
        "Logins",
        "One a session is normal; refused ones lock an owner out.",
        {
            "logins": "sum(increase(probe_exporter_logins_total[$__range]))",
            "failed": "sum(increase(probe_exporter_login_failures_total[$__range]))",
        },
        kind="stat",
        width=12,
        decimals=0,
    ),
    Panel(
        "Slowest tenth of probes",
        "Nine of ten probes were faster than this.",
        {"90 %": f"histogram_quantile(0.9, sum by (le) (rate({BUCKETS}[$__rate_interval])))"},
        "s",
        width=8,
    ),
    Panel(
        "Memory",
        "Of the exporter's process.",
        {"{{instance}}": f"process_resident_memory_bytes {OURS}"},
        "bytes",
        width=8,
    ),
    Panel(
        "CPU",
        "Of the exporter's process, in cores.",
        {"{{instance}}": f"rate(process_cpu_seconds_total[$__rate_interval]) {OURS}"},
        width=8,
    ),
)


def build() -> Board:
    """The dashboard."""
    board = Board(
        "Powerwall fleet",
        UID,
        "Every site at a glance; a click on its name opens it.",
        ("Site", "powerwall-site"),
    )
    board.sites(multi=True)
    board.row("Now", NOW)
    link = f"/d/powerwall-site?var-site=${{__value.raw:percentencode}}&{SAME_CHOICE}&${{__url_time_range}}"
    rows = "The troubled first. A site that fails shows no values: nothing old is passed off as new."
    board.row("Sites", [table("Sites", rows, COLUMNS, link, height=10)])
    board.row("Over time", COURSE)
    board.row("Trouble", TROUBLE)
    board.row("Exporter", EXPORTER)
    return board
