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
        "Energy that each battery holds when full, as it reports it.",
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
        "Charge cycles",
        "The energy that each battery discharged over its life, divided by its capacity.",
        {"{{serial}}": f"{LIFETIME} / (powerwall_battery_full_pack_joules{{{SITE}}} > 0)"},
    ),
    Panel(
        "Round-trip efficiency",
        "The energy discharged divided by the energy charged, over each battery's life.",
        {"{{serial}}": f"{LIFETIME} / (powerwall_battery_charged_joules_total{{{SITE}}} > 0)"},
        "percentunit",
    ),
    Panel(
        "Capacity left",
        "As a part of a new battery's capacity, by the gateway's own figures.",
        {
            "{{serial}}": f"powerwall_battery_full_pack_joules{{{SITE}}} / on (instance) group_left () "
            f"(powerwall_site_nominal_joules{{{SITE}}} / powerwall_batteries_configured{{{SITE}}})"
        },
        "percentunit",
    ),
    flags(
        "Ready for backup",
        "Yes if the battery could supply the home in an outage.",
        {"{{serial}}": "powerwall_battery_backup_ready"},
        GOOD_BAD,
    ),
    states("Inverter state", "State of each battery's inverter.", "powerwall_battery_pinv_status", "serial"),
    states(
        "Operating state",
        "Of each battery's sequence.",
        "powerwall_battery_opseq_status",
        "serial",
    ),
    flags(
        "Limited or disabled",
        "By battery: charging limited (clamped), frequency unsteady (wobble), out of use (disabled).",
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
        "String power",
        "Powerwall+, and Powerwall 3 with tedapi: in the configuration.",
        {"{{inverter}} {{string}}": f"powerwall_pv_string_power_watts{{{SITE}}}"},
        "watt",
        width=8,
    ),
    Panel(
        "String voltage",
        "Powerwall+, and Powerwall 3 with tedapi: in the configuration.",
        {"{{inverter}} {{string}}": f"powerwall_pv_string_volts{{{SITE}}}"},
        "volt",
        width=8,
    ),
    Panel(
        "String current",
        "Powerwall+, and Powerwall 3 with tedapi: in the configuration.",
        {"{{inverter}} {{string}}": f"powerwall_pv_string_amperes{{{SITE}}}"},
        "amp",
        width=8,
    ),
    flags(
        "Strings connected",
        "Powerwall+, and Powerwall 3 with tedapi: in the configuration. An input without panels is never connected.",
        {"{{inverter}} {{string}}": "powerwall_pv_string_connected"},
        YES_NO,
    ),
    Panel(
        "Solar inverter power",
        "Output of the solar inverter. Powerwall+ only.",
        {"{{inverter}}": f"powerwall_pv_inverter_output_power_watts{{{SITE}}}"},
        "watt",
    ),
)

TEDAPI = "Powerwall 3 with tedapi: in the exporter's configuration."
NO_TEDAPI = "No data. A Powerwall 3 with tedapi: in the exporter's configuration reports it."

POWERWALL_3 = (
    Panel(
        "Inverter power",
        f"Solar and battery on the DC side (+ is discharging), output on the AC side. {TEDAPI}",
        {
            "{{inverter}} solar": f"powerwall_inverter_solar_power_watts{{{SITE}}}",
            "{{inverter}} battery": f"powerwall_inverter_battery_power_watts{{{SITE}}}",
            "{{inverter}} output": f"powerwall_inverter_output_power_watts{{{SITE}}}",
        },
        "watt",
        missing=NO_TEDAPI,
    ),
    Panel(
        "Number of packs",
        f"Connected and expected, by inverter. {TEDAPI}",
        {
            "{{inverter}} connected": f"powerwall_batteries_connected{{{SITE}}}",
            "{{inverter}} expected": f"powerwall_batteries_expected{{{SITE}}}",
        },
        low=0,
        missing=NO_TEDAPI,
    ),
    Panel(
        "Temperature of packs",
        f"By pack and sensor. {TEDAPI}",
        {"{{serial}} {{sensor}}": f"powerwall_battery_temperature_celsius{{{SITE}}}"},
        "celsius",
        missing=NO_TEDAPI,
    ),
    Panel(
        "Temperature of inverters",
        f"By inverter and sensor. {TEDAPI}",
        {"{{inverter}} {{sensor}}": f"powerwall_inverter_temperature_celsius{{{SITE}}}"},
        "celsius",
        missing=NO_TEDAPI,
    ),
    Panel(
        "Fans",
        f"Revolutions per minute. {TEDAPI}",
        {"{{inverter}} {{fan}}": f"powerwall_inverter_fan_rpm{{{SITE}}}"},
        "rotrpm",
        low=0,
        missing=NO_TEDAPI,
    ),
    Panel(
        "Voltage at the contactor",
        f"To neutral, on the side of the grid and of the home. {TEDAPI}",
        {
            "grid {{phase}}": f"powerwall_contactor_grid_volts{{{SITE}}}",
            "home {{phase}}": f"powerwall_contactor_home_volts{{{SITE}}}",
        },
        "volt",
        missing=NO_TEDAPI,
    ),
    states("Pack state", f"State of each pack. {TEDAPI}", "powerwall_battery_pack_status", "serial"),
    states("State of inverters", f"State of each inverter. {TEDAPI}", "powerwall_inverter_state", "inverter"),
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
        "Voltage times current, whatever their phase.",
        {"{{category}}": f"powerwall_instant_apparent_power_watts{{{SITE}}}"},
        "voltamp",
    ),
    Panel(
        "Reactive power",
        "Of inductors and capacitors, and what the batteries do to balance it.",
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
        "Active alerts",
        "Of a Powerwall+'s solar inverter, and of a Powerwall 3 with tedapi: in the configuration. Some only inform.",
        {"{{source}} {{alert}}": f"powerwall_alert_active{{{SITE}}}"},
        words={"1": ("active", BAD)},
        **STATE,
    ),
    Panel(
        "Number of alerts and problems",
        "As the gateway lists them.",
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
        "Uptime",
        "Since the gateway's software started.",
        {"up": f"powerwall_uptime_seconds{{{SITE}}}"},
        "s",
        **SMALL,
    ),
    Panel(
        "Firmware update",
        "State of the firmware update.",
        {"{{state}}": f"powerwall_update_state{{{SITE}}} == 1"},
        **SMALL,
    ),
    Panel(
        "Site master",
        "The part of the gateway that runs the batteries.",
        {"running": f"powerwall_sitemaster_running{{{SITE}}}"},
        words={"1": ("running", GOOD), "0": ("stopped", BAD)},
        **SMALL,
    ),
    Panel(
        "Connection to Tesla",
        "As the gateway reports it.",
        {"connected": f"powerwall_sitemaster_connected{{{SITE}}}"},
        words={"1": ("connected", GOOD), "0": ("not connected", BAD)},
        **SMALL,
    ),
    Panel(
        "Certificate expires in",
        "Until the gateway's certificate expires.",
        {"left": f"powerwall_tls_certificate_not_after_timestamp_seconds{{{SITE}}} - time()"},
        "s",
        **SMALL,
    ),
    Panel(
        "Certificate pinned",
        "If it is not, somebody in between could read the password.",
        {"pinned": f"powerwall_tls_pinned{{{SITE}}}"},
        words=GOOD_BAD,
        **SMALL,
    ),
    Panel(
        "Login retry in",
        "Until a login may be tried again. Up to a minute is normal, longer follows a refused one.",
        {"retry": f"powerwall_login_cooldown_seconds{{{SITE}}}"},
        "s",
        **SMALL,
    ),
    Panel(
        "Firmware over time",
        "The version that ran at each time.",
        {"{{version}}": f"powerwall_info{{{SITE}}}"},
        words={"1": ("runs", CALM)},
        **STATE,
    ),
    flags(
        "Network in use",
        "By interface.",
        {"{{name}} {{type}}": "powerwall_network_primary"},
        YES_NO,
    ),
    flags(
        "Internet and Tesla",
        "Connections to Tesla and to the internet, by the site master and by interface.",
        {
            "site master to Tesla": "powerwall_sitemaster_connected",
            "{{name}} {{type}} to Tesla": "powerwall_network_tesla_connected",
            "{{name}} {{type}} to the internet": "powerwall_network_internet_connected",
        },
        YES_NO,
    ),
    Panel(
        "Signal strength",
        "Of Wi-Fi and of the mobile network.",
        {"{{name}} {{type}}": f"powerwall_network_signal_ratio{{{SITE}}}"},
        "percentunit",
        low=0,
        high=1,
    ),
    Panel(
        "Response time",
        "Of each endpoint's last request.",
        {"{{endpoint}}": f"powerwall_endpoint_duration_seconds{{{SITE}}}"},
        "s",
    ),
    Panel(
        "Age of answers",
        "Of each endpoint's answer that is shown. Up to ten minutes is normal for values that change rarely.",
        {"{{endpoint}}": f"powerwall_endpoint_age_seconds{{{SITE}}}"},
        "s",
    ),
    flags(
        "Interfaces that answer",
        "The owner interface, and tedapi where it is configured.",
        {"{{interface}}": "powerwall_interface_up"},
        GOOD_BAD,
    ),
    flags(
        "Endpoints that answer",
        "By each endpoint's last request.",
        {"{{endpoint}}": "powerwall_endpoint_up"},
        GOOD_BAD,
    ),
)
