"""The dashboard *fleet*: an overview of all sites, problems first, and the state of the exporter."""

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


OFF = f"min by (instance) (min_over_time(powerwall_grid_connected{{{SITES}}}[$__range] @ end()))"
"""0 for the sites that were off the grid at some time of what is shown."""


def highest(template: str, count: int = 10) -> str:
    """The few sites with the highest values at the end of the time shown, each of them over all of it.

    ``{at}`` in the template is the place of the modifier that asks for that end.
    """
    return f"{template.format(at='')} and on (instance) topk({count}, {template.format(at=' @ end()')})"


def power(category: str) -> str:
    """Watts of one category, by site."""
    return f'sum by (instance) ({POWER}{{category="{category}",{SITES}}})'


def charge() -> str:
    """State of charge, by site."""
    return f"max by (instance) (powerwall_charge_app_ratio{{{SITES}}})"


def connected() -> str:
    """The state of the connection to the grid, by site."""
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
    Column("Uptime", f"max by (instance) (powerwall_uptime_seconds{{{SITES}}})", "s"),
    Column("Login retry in", f"max by (instance) (powerwall_login_cooldown_seconds{{{SITES}}})", "s"),
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
        "Energy in all batteries that report it.",
        {"Battery": f"sum(powerwall_remaining_joules{{{SITES}}}) / 3.6e6"},
        "kwatth",
        **TOTAL,
    ),
)

COURSE = (
    Panel(
        "Solar power",
        "The sum of all sites that share the label chosen above.",
        {"{{$by}}": f'sum by ($by) ({POWER}{{category="solar",{SITES}}})'},
        "watt",
        stacked=True,
    ),
    Panel(
        "Power from the grid",
        "The sum of all sites that share the label chosen above; − feeds it.",
        {"{{$by}}": f'sum by ($by) ({POWER}{{category="site",{SITES}}})'},
        "watt",
    ),
    Panel(
        "Charge",
        "As Tesla's app shows it: the lowest, the middle and the highest of all sites.",
        {
            "lowest": f"min({charge()})",
            "middle": f"quantile(0.5, {charge()})",
            "highest": f"max({charge()})",
        },
        "percentunit",
        low=0,
        high=1,
    ),
    Panel(
        "Sites off the grid",
        "Their number over time.",
        {"off grid": f"count({connected()} == 0) or vector(0)"},
        colours={"off grid": BAD},
    ),
    Panel(
        "Outages",
        "Up to twenty sites that were off the grid in the time shown. A gap is a failed probe.",
        {"{{instance}}": f"{connected()} and on (instance) topk(20, ({OFF}) == 0)"},
        kind="states",
        words=CONNECTED,
        width=24,
        missing="No site was off the grid.",
    ),
)

TROUBLE = (
    Panel(
        "Failed probes by reason",
        "Number of sites.",
        {"{{reason}}": f"sum by (reason) (probe_failure_reason{{{SITES}}})"},
        stacked=True,
    ),
    Panel(
        "Duration of probes",
        "Of all sites. Prometheus' scrape_timeout is the limit.",
        {
            "middle": f"quantile(0.5, probe_duration_seconds{{{SITES}}})",
            "nine of ten are below": f"quantile(0.9, probe_duration_seconds{{{SITES}}})",
            "longest": f"max(probe_duration_seconds{{{SITES}}})",
        },
        "s",
    ),
    Panel(
        "Endpoints without an answer",
        "The ten sites with the most; those that a gateway does not have do not count.",
        {
            "{{instance}}": highest(
                f"sum by (instance) (powerwall_endpoint_up{{{{{SITES}}}}}{{at}} == bool 0)"
            )
        },
    ),
    Panel(
        "Unknown states",
        "The ten sites with the most words that this release does not know; the exporter's log names them. Please "
        "report them.",
        {"{{instance}}": highest(f"sum by (instance) (powerwall_unknown_values{{{{{SITES}}}}}{{at}})")},
    ),
)

EXPORTER = (
    Panel(
        "Probes per second",
        "All of them, and those that failed.",
        {
            "probes": "sum(rate(probe_exporter_probes_total[$__rate_interval]))",
            "failed": "sum(rate(probe_exporter_probe_failures_total[$__rate_interval]))",
        },
        "ops",
        colours={"probes": CALM, "failed": BAD},
    ),
    Panel(
        "Requests per second",
        "To all gateways together.",
        {
            "requests": "sum(rate(probe_exporter_gateway_requests_total[$__rate_interval]))",
            "failed": "sum(rate(probe_exporter_gateway_request_failures_total[$__rate_interval]))",
            "retries": "sum(rate(probe_exporter_retries_total[$__rate_interval]))",
        },
        "ops",
        colours={"requests": CALM, "failed": BAD},
    ),
    Panel(
        "Failed requests per second",
        "By reason. rate_limited: a gateway is polled too often.",
        {
            "{{reason}}": "sum by (reason) "
            "(rate(probe_exporter_gateway_request_failures_total[$__rate_interval]))"
        },
        "ops",
        stacked=True,
    ),
    Panel(
        "Logins",
        "Over the time shown. One login for each session is normal; refused ones can lock an owner out.",
        {
            "logins": "sum(increase(probe_exporter_logins_total[$__range]))",
            "failed": "sum(increase(probe_exporter_login_failures_total[$__range]))",
        },
        kind="stat",
        width=8,
        decimals=0,
    ),
    Panel(
        "Configuration",
        "The result of the last reload. If it failed, the previous configuration stays in force.",
        {"{{instance}}": f"probe_exporter_config_last_reload_successful {OURS}"},
        words={"1": ("in force", GOOD), "0": ("reload failed", BAD)},
        kind="stat",
        width=4,
        named=True,
    ),
    Panel(
        "Probe duration, 90th percentile",
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
        ("Home", "powerwall-home"),
        ("Site", "powerwall-site"),
    )
    board.sites(multi=True)
    board.words("by", "Sum by", ("job", "region", "fleet", "site", "home"))
    board.filters("filter", "Filter")
    board.row("Now", NOW)
    link = f"/d/powerwall-site?var-site=${{__value.raw:percentencode}}&{SAME_CHOICE}&${{__url_time_range}}"
    rows = "Problems first. A site that fails shows no values: old values are not shown as new ones."
    board.row("Sites", [table("Sites", rows, COLUMNS, link, height=10)])
    board.row("Over time", COURSE)
    board.row("Trouble", TROUBLE)
    board.row("Exporter", EXPORTER)
    return board
