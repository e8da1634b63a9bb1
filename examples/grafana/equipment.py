"""The lower half of the dashboard *site*: batteries, solar inverter, grid, alerts, gateway."""

from __future__ import annotations

from parts import BAD, CALM, GOOD, Panel
from queries import KWH, SITE, SMALL, YES_NO, flags, states

STATE = {"kind": "states", "width": 12, "height": 8}
GOOD_BAD = {"1": ("yes", GOOD), "0": ("no", BAD)}
BAD_GOOD = {"1": ("yes", BAD), "0": ("no", GOOD)}

LIFETIME = f"powerwall_battery_discharged_joules_total{{{SITE}}}"

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
        "Stored in each battery",
        "Energy left, and what each could hold.",
        {
            "{{serial}}": f"powerwall_battery_remaining_joules{{{SITE}}} {KWH}",
            "{{serial}} when full": f"powerwall_battery_full_pack_joules{{{SITE}}} {KWH}",
        },
        "kwatth",
        low=0,
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
        "hertz",
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
    ),
)

SOLAR_PANELS = (
    Panel(
        "Strings, power",
        "Powerwall+ only.",
        {"{{inverter}} {{string}}": f"powerwall_pv_string_power_watts{{{SITE}}}"},
        "watt",
        width=8,
    ),
    Panel(
        "Strings, voltage",
        "Powerwall+ only.",
        {"{{inverter}} {{string}}": f"powerwall_pv_string_volts{{{SITE}}}"},
        "volt",
        width=8,
    ),
    Panel(
        "Strings, current",
        "Powerwall+ only.",
        {"{{inverter}} {{string}}": f"powerwall_pv_string_amperes{{{SITE}}}"},
        "amp",
        width=8,
    ),
    flags(
        "Strings connected",
        "Powerwall+ only. One that is not in use never is.",
        {"{{inverter}} {{string}}": "powerwall_pv_string_connected"},
        YES_NO,
    ),
    Panel(
        "Inverter",
        "Output of the solar inverter. Powerwall+ only.",
        {"{{inverter}}": f"powerwall_pv_inverter_output_power_watts{{{SITE}}}"},
        "watt",
    ),
)

QUALITY = (
    Panel(
        "Frequency",
        "Where a meter measures it.",
        {"{{category}}": f"powerwall_frequency_hz{{{SITE}}}"},
        "hertz",
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
        "Apparent power",
        "What the current amounts to, whatever its phase.",
        {"{{category}}": f"powerwall_instant_apparent_power_watts{{{SITE}}}"},
        "voltamp",
    ),
    Panel(
        "Reactive power",
        "Of inductors and capacitors, and of what the batteries do about it.",
        {"{{category}}": f"powerwall_instant_reactive_power_watts{{{SITE}}}"},
        "voltampreact",
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
        named=True,
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
        "Until a login may be tried again. Up to a minute is normal, longer follows a refused one.",
        {"rests": f"powerwall_login_cooldown_seconds{{{SITE}}}"},
        "s",
        **SMALL,
    ),
    Panel(
        "Firmware over time",
        "Which version ran when.",
        {"{{version}}": f"powerwall_info{{{SITE}}}"},
        words={"1": ("runs", CALM)},
        **STATE,
    ),
    flags(
        "Networks", "Which interface is in use.", {"{{name}} {{type}}": "powerwall_network_primary"}, YES_NO
    ),
    flags(
        "Reach",
        "Whether the site master reaches Tesla, and over which interfaces Tesla and the internet were reached last.",
        {
            "site master to Tesla": "powerwall_sitemaster_connected",
            "{{name}} {{type}} to Tesla": "powerwall_network_tesla_connected",
            "{{name}} {{type}} to the internet": "powerwall_network_internet_connected",
        },
        YES_NO,
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
    Panel(
        "Age of answers",
        "How old what is shown of each endpoint is. Up to ten minutes is normal for what changes rarely.",
        {"{{endpoint}}": f"powerwall_endpoint_age_seconds{{{SITE}}}"},
        "s",
    ),
    flags(
        "Endpoints",
        "Whether each endpoint's last request was answered.",
        {"{{endpoint}}": "powerwall_endpoint_up"},
        GOOD_BAD,
        width=24,
    ),
)
