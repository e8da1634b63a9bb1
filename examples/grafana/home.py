"""The dashboard *site*: one home, from the flow of power to the state of its batteries and of its gateway."""

from __future__ import annotations

from parts import BAD, CALM, GOOD, Board, Panel

UID = "powerwall-site"
SITE = 'instance="$site"'
KWH = "/ 3.6e6"
SMALL = {"kind": "stat", "width": 3, "height": 4}
STATE = {"kind": "states", "width": 12, "height": 7}
YES_NO = {"1": ("yes", GOOD), "0": ("no", CALM)}
GOOD_BAD = {"1": ("yes", GOOD), "0": ("no", BAD)}
BAD_GOOD = {"1": ("yes", BAD), "0": ("no", GOOD)}


def watts(category: str) -> str:
    """Power of one category."""
    return f'powerwall_instant_power_watts{{category="{category}",{SITE}}}'


def energy(direction: str, category: str, window: str = "$__range") -> str:
    """kWh of one category over the time that is shown."""
    return f'increase(powerwall_{direction}_joules_total{{category="{category}",{SITE}}}[{window}]) {KWH}'


def states(title: str, description: str, metric: str, label: str, width: int = 12) -> Panel:
    """The states of a state set over time, each by its name."""
    legend = f"{{{{{label}}}}} {{{{state}}}}" if label else "{{state}}"
    return Panel(
        title,
        description,
        {legend: f"{metric}{{{SITE}}} == 1"},
        kind="states",
        width=width,
        height=7,
        words={"1": ("on", CALM)},
    )


def flags(
    title: str, description: str, queries: dict[str, str], words: dict[str, tuple[str, str]], width: int = 12
) -> Panel:
    """Yes or no over time."""
    full = {legend: f"{metric}{{{SITE}}}" for legend, metric in queries.items()}
    return Panel(title, description, full, kind="states", width=width, height=7, words=words)


MEAN_USE = f"clamp_min(sum by (instance) (avg_over_time({watts('load')}[15m])), 50)"
"""Watts of the last quarter of an hour."""

LIFETIME = f"powerwall_battery_discharged_joules_total{{{SITE}}}"

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
        "Battery: + is discharging. Grid: + draws, − feeds. A gap is a failed probe.",
        {"Solar": watts("solar"), "Home": watts("load"), "Battery": watts("battery"), "Grid": watts("site")},
        "watt",
        width=24,
        height=10,
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

ENERGY = (
    Panel("Produced", "Over the time shown.", {"Solar": energy("exported", "solar")}, "kwatth", **SMALL),
    Panel("Used", "Over the time shown.", {"Home": energy("imported", "load")}, "kwatth", **SMALL),
    Panel("From the grid", "Over the time shown.", {"Grid": energy("imported", "site")}, "kwatth", **SMALL),
    Panel("To the grid", "Over the time shown.", {"Grid": energy("exported", "site")}, "kwatth", **SMALL),
    Panel(
        "Charged",
        "Into the battery, over the time shown.",
        {"Battery": energy("imported", "battery")},
        "kwatth",
        **SMALL,
    ),
    Panel(
        "Discharged",
        "Out of the battery, over the time shown.",
        {"Battery": energy("exported", "battery")},
        "kwatth",
        **SMALL,
    ),
    Panel(
        "Self-sufficiency",
        "The part of the use that did not come from the grid; charging from the grid counts against it.",
        {"ratio": f"clamp_min(1 - sum({energy('imported', 'site')}) / sum({energy('imported', 'load')}), 0)"},
        "percentunit",
        **SMALL,
    ),
    Panel(
        "Self-consumption",
        "The part of the production that stayed at home.",
        {
            "ratio": f"clamp_min(1 - sum({energy('exported', 'site')}) / (sum({energy('exported', 'solar')}) > 0), 0)"
        },
        "percentunit",
        **SMALL,
    ),
    Panel(
        "Energy an hour",
        "The energy of the hour before each moment.",
        {
            "Solar": energy("exported", "solar", "1h"),
            "Home": energy("imported", "load", "1h"),
            "Grid": energy("imported", "site", "1h"),
            "Battery": energy("exported", "battery", "1h"),
        },
        "kwatth",
        width=24,
    ),
)

BATTERIES = (
    Panel(
        "Charge of each battery",
        "Of its own capacity.",
        {"{{serial}}": f"powerwall_battery_charge_ratio{{{SITE}}}"},
        "percentunit",
        low=0,
        high=1,
    ),
    Panel(
        "Capacity",
        "What each battery holds when full, as it reports it.",
        {"{{serial}}": f"powerwall_battery_full_pack_joules{{{SITE}}} {KWH}"},
        "kwatth",
    ),
    Panel(
        "Power of each battery",
        "AC; + is discharging.",
        {"{{serial}}": f"powerwall_battery_output_power_watts{{{SITE}}}"},
        "watt",
    ),
    Panel(
        "Voltage of each battery", "AC.", {"{{serial}}": f"powerwall_battery_output_volts{{{SITE}}}"}, "volt"
    ),
    Panel(
        "Current of each battery",
        "On the DC side; + is charging.",
        {"{{serial}}": f"powerwall_battery_output_amps{{{SITE}}}"},
        "amp",
    ),
    Panel(
        "Frequency of each battery",
        "Raised on purpose while off the grid and full.",
        {"{{serial}}": f"powerwall_battery_output_hz{{{SITE}}}"},
        "rothz",
    ),
    Panel(
        "Cycles",
        "How often each battery gave its whole capacity away, over its life.",
        {"{{serial}}": f"{LIFETIME} / (powerwall_battery_full_pack_joules{{{SITE}}} > 0)"},
    ),
    Panel(
        "Round trip",
        "What comes back of the energy that went in, over each battery's life.",
        {"{{serial}}": f"{LIFETIME} / (powerwall_battery_charged_joules_total{{{SITE}}} > 0)"},
        "percentunit",
    ),
    Panel(
        "Capacity beside nominal",
        "Of what one battery had when new, by the gateway's own figures.",
        {
            "{{serial}}": f"powerwall_battery_full_pack_joules{{{SITE}}} / on (instance) group_left () "
            f"(powerwall_site_nominal_joules{{{SITE}}} / powerwall_batteries_configured{{{SITE}}})"
        },
        "percentunit",
    ),
    flags(
        "Ready for backup",
        "Whether each battery would carry the home.",
        {"{{serial}}": "powerwall_battery_backup_ready"},
        GOOD_BAD,
    ),
    states("Inverters", "State of each battery's inverter.", "powerwall_battery_pinv_status", "serial"),
    states("Operation", "State of each battery's sequence.", "powerwall_battery_opseq_status", "serial"),
    flags(
        "Clamped, wobbling, disabled",
        "Each battery: charging limited, frequency that wobbles, out of use.",
        {
            "{{serial}} clamped": "powerwall_battery_charge_power_clamped",
            "{{serial}} wobble": "powerwall_battery_wobble_detected",
            "{{serial}} disabled": "powerwall_battery_disabled",
        },
        BAD_GOOD,
        width=24,
    ),
)

SOLAR_PANELS = (
    Panel(
        "Strings, power",
        "Powerwall+ only.",
        {"{{string}}": f"powerwall_pv_string_power_watts{{{SITE}}}"},
        "watt",
        width=8,
    ),
    Panel(
        "Strings, voltage",
        "Powerwall+ only.",
        {"{{string}}": f"powerwall_pv_string_volts{{{SITE}}}"},
        "volt",
        width=8,
    ),
    Panel(
        "Strings, current",
        "Powerwall+ only.",
        {"{{string}}": f"powerwall_pv_string_amperes{{{SITE}}}"},
        "amp",
        width=8,
    ),
    flags(
        "Strings connected",
        "Powerwall+ only. One that is not in use never is.",
        {"{{string}}": "powerwall_pv_string_connected"},
        YES_NO,
    ),
    Panel(
        "Inverter",
        "Output of the solar inverter. Powerwall+ only.",
        {"Solar": f"powerwall_pv_inverter_output_power_watts{{{SITE}}}"},
        "watt",
    ),
)

QUALITY = (
    Panel(
        "Frequency",
        "Where a meter measures it.",
        {"{{category}}": f"powerwall_frequency_hz{{{SITE}}}"},
        "rothz",
    ),
    Panel(
        "Voltage by phase",
        "To neutral, by meter.",
        {"{{category}} {{type}} {{phase}}": f"powerwall_dev_phase_volts{{{SITE}}}"},
        "volt",
    ),
    Panel(
        "Power by phase",
        "Site: + draws from the grid.",
        {"{{category}} {{type}} {{phase}}": f"powerwall_dev_phase_power_watts{{{SITE}}}"},
        "watt",
    ),
    Panel(
        "Power factor",
        "Real by apparent power.",
        {
            "{{category}}": f"powerwall_instant_power_watts{{{SITE}}}"
            f" / (powerwall_instant_apparent_power_watts{{{SITE}}} > 0)"
        },
        "percentunit",
        low=-1,
        high=1,
    ),
)

ALERTS = (
    Panel(
        "Alerts",
        "Of the solar inverter of a Powerwall+; some merely inform.",
        {"{{source}} {{alert}}": f"powerwall_alert_active{{{SITE}}}"},
        words={"1": ("active", BAD)},
        **STATE,
    ),
    Panel(
        "Alerts and problems",
        "How many the gateway lists.",
        {
            "alerts": f"sum(powerwall_alerts{{{SITE}}})",
            "problems": f"powerwall_problems_detected_count{{{SITE}}}",
            "grid faults kept": f"powerwall_grid_faults{{{SITE}}}",
        },
    ),
    Panel(
        "Last grid faults",
        "How long ago each was last noticed. Entries stay for weeks.",
        {"{{alert}}": f"max by (alert) (time() - powerwall_grid_fault_timestamp_seconds{{{SITE}}})"},
        "s",
        kind="stat",
        width=24,
        height=5,
    ),
)

GATEWAY = (
    Panel("Firmware", "The version that runs.", {"{{version}}": f"powerwall_info{{{SITE}}}"}, **SMALL),
    Panel(
        "Running for",
        "Since the gateway's software started.",
        {"up": f"powerwall_uptime_seconds{{{SITE}}}"},
        "s",
        **SMALL,
    ),
    Panel(
        "Update",
        "State of the firmware update.",
        {"{{state}}": f"powerwall_update_state{{{SITE}}} == 1"},
        **SMALL,
    ),
    Panel(
        "Site master",
        "Whether the system runs.",
        {"running": f"powerwall_sitemaster_running{{{SITE}}}"},
        words={"1": ("running", GOOD), "0": ("stopped", BAD)},
        **SMALL,
    ),
    Panel(
        "Tesla",
        "Whether the gateway reaches Tesla.",
        {"connected": f"powerwall_sitemaster_connected{{{SITE}}}"},
        words={"1": ("connected", GOOD), "0": ("away", BAD)},
        **SMALL,
    ),
    Panel(
        "Certificate",
        "Until the gateway's certificate expires.",
        {"left": f"powerwall_tls_certificate_not_after_timestamp_seconds{{{SITE}}} - time()"},
        "s",
        **SMALL,
    ),
    Panel(
        "Pinned",
        "Whether the certificate is pinned; if not, anyone in between can read the password.",
        {"pinned": f"powerwall_tls_pinned{{{SITE}}}"},
        words=GOOD_BAD,
        **SMALL,
    ),
    Panel(
        "Login rests for",
        "After a refused login.",
        {"rests": f"powerwall_login_cooldown_seconds{{{SITE}}}"},
        "s",
        **SMALL,
    ),
    flags(
        "Networks", "Which interface is in use.", {"{{name}} {{type}}": "powerwall_network_primary"}, YES_NO
    ),
    Panel(
        "Signal",
        "Strength of Wi-Fi and mobile network.",
        {"{{name}} {{type}}": f"powerwall_network_signal_ratio{{{SITE}}}"},
        "percentunit",
        low=0,
        high=1,
    ),
    Panel(
        "Answers",
        "How long each endpoint's last request took.",
        {"{{endpoint}}": f"powerwall_endpoint_duration_seconds{{{SITE}}}"},
        "s",
    ),
    flags(
        "Endpoints",
        "Whether each endpoint's last request was answered.",
        {"{{endpoint}}": "powerwall_endpoint_up"},
        GOOD_BAD,
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
    board.choice("site", "Site", "label_values(probe_success, instance)", multi=False)
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
