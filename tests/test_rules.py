"""The rules of ``examples/prometheus/rules``, run by promtool: what fires, what survives a gap, what stays silent.

A failed probe makes every series of its gateway stale. So each alert is tried three times: with a condition that
lasts and a gap of a minute in the middle of waiting, with a healthy gateway that is gone for a minute, and well.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from probe_exporter.errors import REASONS
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.probe import PROBE_FAMILIES
from probe_exporter.metrics.tariff import SITE_FAMILIES, TARIFF_FAMILIES
from tests.conftest import program

ROOT = Path(__file__).parent.parent
RULES = ROOT / "examples" / "prometheus" / "rules"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
GROUPS = [
    group for file in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(file.read_text())["groups"]
]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
RECORDED = [rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule]
TRIED = (RULES / "alerts.yml", RULES / "recording.yml")
"""The files that are tried here; tests/test_rules_homes.py has the others."""

HOME = '{job="powerwall",instance="home"'
DAY = 24 * 60

Series = dict[str, float | str]
"""Name and labels of a series, without job and instance, with its value, or with promtool's own notation."""


@dataclass(frozen=True, slots=True)
class Case:
    """``bad`` fires after ``minutes``; ``good`` never does; ``both`` goes with either.

    Series have a sample every ``step`` minutes, and that is how long a gap is: more than one where days pass.
    """

    minutes: int
    bad: Series
    good: Series
    both: Series = field(default_factory=dict)
    step: int = 1


def connected(value: float) -> Series:
    return {"powerwall_grid_connected": value}


def battery(name: str, value: float) -> Series:
    return {f'powerwall_battery_{name}{{serial="A"}}': value}


CASES: dict[str, Case] = {
    "PowerwallExporterDown": Case(15, {'up{job="probe_exporter"}': 0}, {'up{job="probe_exporter"}': 1}),
    "PowerwallReloadFailed": Case(
        12,
        {'probe_exporter_config_last_reload_successful{job="probe_exporter"}': 0},
        {'probe_exporter_config_last_reload_successful{job="probe_exporter"}': 1},
    ),
    "PowerwallProbeFailing": Case(
        12,
        {"probe_success": 0},
        {"probe_success": 1},
        {'probe_failure_reason{reason="auth"}': 0, 'probe_failure_reason{reason="tls"}': 0},
    ),
    "PowerwallLoginRefused": Case(
        7, {'probe_failure_reason{reason="auth"}': 1}, {'probe_failure_reason{reason="auth"}': 0}
    ),
    "PowerwallCertificateMissing": Case(
        7,
        {'probe_failure_reason{reason="tls"}': 1},
        {'probe_failure_reason{reason="tls"}': 0},
        {"powerwall_tls_pinned": 0},
    ),
    "PowerwallCertificateChanged": Case(
        7,
        {'probe_failure_reason{reason="tls"}': 1},
        {'probe_failure_reason{reason="tls"}': 0},
        {"powerwall_tls_pinned": 1},
    ),
    "PowerwallEndpointFailing": Case(
        32,
        {'powerwall_endpoint_up{endpoint="networks"}': 0},
        {'powerwall_endpoint_up{endpoint="networks"}': 1},
        {"probe_success": 1},
    ),
    "PowerwallInterfaceDown": Case(
        35,
        {'powerwall_interface_up{interface="tedapi"}': 0},
        {'powerwall_interface_up{interface="tedapi"}': 1, 'powerwall_interface_up{interface="owner"}': 1},
        {"probe_success": 1},
    ),
    "PowerwallMeterSilent": Case(
        18,
        {'powerwall_meter_last_communication_timestamp_seconds{category="site"}': 0},
        {'powerwall_meter_last_communication_timestamp_seconds{category="site"}': "0+60x60"},
    ),
    "PowerwallReadingsHeldBack": Case(
        68, {"powerwall_readings_held_back": 2}, {"powerwall_readings_held_back": "0 2 0 0 2x5 0x80"}
    ),
    "PowerwallGridDown": Case(8, connected(0), connected(1)),
    "PowerwallGridUnstable": Case(
        12, {"powerwall_grid_connected": "1 0 1 0 1 0 1x20"}, {"powerwall_grid_connected": "1 0 1x20"}
    ),
    "PowerwallRunningOut": Case(
        8, {"powerwall_charge_app_ratio": 0.19}, {"powerwall_charge_app_ratio": 0.5}, connected(0)
    ),
    "PowerwallBelowReserve": Case(
        125,
        {"powerwall_charge_app_ratio": 0.2},
        {"powerwall_charge_app_ratio": 0.3},
        {"powerwall_reserve_app_ratio": 0.3, **connected(1)},
    ),
    "PowerwallBatteryMissing": Case(
        17,
        {"powerwall_batteries_available": 2},
        {"powerwall_batteries_available": 3},
        {"powerwall_batteries_configured": 3},
    ),
    "PowerwallBatteryDisabled": Case(17, battery("disabled", 1), battery("disabled", 0)),
    "PowerwallPackMissing": Case(
        20,
        {'powerwall_batteries_connected{inverter="A"}': 2},
        {'powerwall_batteries_connected{inverter="A"}': 3},
        {'powerwall_batteries_expected{inverter="A"}': 3},
    ),
    "PowerwallPackHot": Case(
        20,
        {'powerwall_battery_temperature_celsius{serial="A",sensor="max"}': 57.5},
        {
            'powerwall_battery_temperature_celsius{serial="A",sensor="max"}': 44.5,
            'powerwall_battery_temperature_celsius{serial="A",sensor="shunt"}': 60.5,
        },
    ),
    "PowerwallPacksUnequal": Case(
        365,
        {'powerwall_battery_charge_ratio{serial="A"}': 0.9},
        {'powerwall_battery_charge_ratio{serial="A"}': 0.6},
        {'powerwall_battery_charge_ratio{serial="B"}': 0.5},
    ),
    "PowerwallFanStopped": Case(
        20,
        {'powerwall_inverter_fan_rpm{inverter="A",fan="A"}': 0},
        {'powerwall_inverter_fan_rpm{inverter="A",fan="A"}': 900},
        {'powerwall_inverter_fan_duty_ratio{inverter="A",fan="A"}': 0.2},
    ),
    "PowerwallNotReadyForBackup": Case(32, battery("backup_ready", 0), battery("backup_ready", 1)),
    "PowerwallCapacityLow": Case(
        DAY + 20,
        battery("full_pack_joules", 0.69 * 48.6e6),
        battery("full_pack_joules", 0.71 * 48.6e6),
        {"powerwall_site_nominal_joules": 2 * 48.6e6, "powerwall_batteries_configured": 2},
        step=4,
    ),
    "PowerwallStopped": Case(17, {"powerwall_sitemaster_running": 0}, {"powerwall_sitemaster_running": 1}),
    "PowerwallProblems": Case(
        17, {"powerwall_problems_detected_count": 2}, {"powerwall_problems_detected_count": 0}
    ),
    "PowerwallAlertActive": Case(
        17,
        {'powerwall_alert_active{alert="PVAC_a014_PvIsolation",source="pvac"}': 1},
        {
            f'powerwall_alert_active{{alert="{name}",source="x"}}': 1
            for name in (
                "PVS_a048_SelfTestRelayFault",
                "SystemConnectedToGrid",
                "FWUpdateFailed",
                "SYNC_a001_SW_App_Boot",
                "SYNC_a046_DoCloseArguments",
                "BAGGR_a007_EndOfCharge",
                "PCH_a054_pwsDisabledMpptEnableLine",
                "PWS_a078_AfciSvmTriggered",
            )
        },
    ),
    "PowerwallNoSolar": Case(
        10 * DAY + 120,
        {
            'powerwall_exported_joules_total{category="solar"}': f"0+1e5x{9 * 96} 86400000x95 stale 86400000x96"
        },
        {'powerwall_exported_joules_total{category="solar"}': f"0+1e5x{10 * 96} stale 96000000+1e5x192"},
        step=15,
    ),
    "PowerwallStringDisconnected": Case(
        400,
        {'powerwall_pv_string_connected{string="A"}': "1x5 0x10 stale 0x500"},
        {'powerwall_pv_string_connected{string="A"}': 0},
    ),
    "PowerwallStringSilent": Case(
        300,
        {'powerwall_pv_string_amperes{inverter="A",string="A"}': "4x100 0x500"},
        {'powerwall_pv_string_amperes{inverter="A",string="A"}': 4},
        {'powerwall_pv_string_amperes{inverter="A",string="B"}': 4},
    ),
    "PowerwallNotReachingTesla": Case(
        62, {"powerwall_sitemaster_connected": 0}, {"powerwall_sitemaster_connected": 1}
    ),
    "PowerwallRebooted": Case(
        30,
        {"powerwall_uptime_seconds": "90000+60x10 stale 5+60x60"},
        {"powerwall_uptime_seconds": "90000+60x90"},
    ),
    "PowerwallFirmwareChanged": Case(
        30,
        {
            'powerwall_info{version="23.44.0"}': "1x10 stale",
            'powerwall_info{version="24.4.0"}': "_x12 1x60",
        },
        {'powerwall_info{version="23.44.0"}': 1},
    ),
    "PowerwallUnknownWords": Case(
        62,
        {'powerwall_unknown_values{endpoint="operation"}': 1},
        {'powerwall_unknown_values{endpoint="operation"}': 0},
    ),
}


def notation(value: float | str, count: int, gap_at: int | None) -> str:
    """A constant series in promtool's notation, with one sample stale where asked."""
    if isinstance(value, str):
        return value
    if gap_at is None:
        return f"{value}x{count}"
    return f"{value}x{gap_at} stale {value}x{count}"


def group(
    alert: str, case: Case, series: Series, fires: bool, gap_at: int | None, end: int
) -> dict[str, Any]:
    """One group of a promtool test: whether the alert fires at the end, and that it never does where it must not."""
    count = end // case.step + 5
    inputs = [
        {"series": labelled(name), "values": notation(value, count, gap_at)}
        for name, value in {**series, **case.both}.items()
    ]
    firing = f'sum(max_over_time(ALERTS{{alertname="{alert}",alertstate="firing"}}[{end}m]))'
    samples = [{"labels": "{}", "value": 1}] if fires else []
    tests = [{"expr": firing, "eval_time": f"{end}m", "exp_samples": samples}]
    return {"interval": f"{case.step}m", "input_series": inputs, "promql_expr_test": tests}


def labelled(name: str) -> str:
    """A series with the labels of a target, where it has none of its own."""
    if "job=" in name:
        return name
    bare, brace, labels = name.partition("{")
    return f"{bare}{HOME},{labels}" if brace else f"{bare}{HOME}}}"


def run(groups: list[dict[str, Any]], folder: Path) -> None:
    document = {
        "rule_files": [str(file) for file in TRIED],
        "evaluation_interval": groups[0]["interval"],
        "tests": groups,
    }
    (folder / "test.yml").write_text(yaml.safe_dump(document))
    ended = subprocess.run(
        [program("promtool"), "test", "rules", folder / "test.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_alert_has_a_case() -> None:
    assert list(CASES) == list(ALERTS)


@pytest.mark.parametrize(("alert", "case"), CASES.items(), ids=CASES)
def test_it_fires_and_a_gap_while_pending_does_not_reset_it(alert: str, case: Case, tmp_path: Path) -> None:
    middle = max(1, case.minutes // case.step // 2)
    run([group(alert, case, case.bad, True, middle, case.minutes)], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("alert", "case"), CASES.items(), ids=CASES)
def test_it_is_silent_while_all_is_well_and_through_a_drop_of_a_minute(
    alert: str, case: Case, tmp_path: Path
) -> None:
    calm = group(alert, case, case.good, False, None, case.minutes + 10)
    dropped = group(alert, case, case.good, False, case.minutes // case.step // 2, case.minutes + 10)
    run([calm, dropped], tmp_path)


def test_an_outage_is_told_with_its_length_and_the_time_left(tmp_path: Path) -> None:
    """Also of a gateway whose name has quotes, and of one whose capacity nobody knows."""
    name = """Jim's "cabin" """.strip()
    own = f"{{job='powerwall',instance='{name.replace(chr(39), chr(92) + chr(39))}'}}"
    inputs = [
        {"series": f"powerwall_grid_connected{own}", "values": "0x30"},
        {"series": f"powerwall:outage:known_seconds{own}", "values": "0+60x30"},
        {"series": f"powerwall:backup_time_remaining:seconds{own}", "values": "9000x30"},
        {"series": labelled("powerwall_grid_connected"), "values": "0x30"},
    ]

    def told(instance: str, length: str, left: str) -> dict[str, Any]:
        rule = ALERTS["PowerwallGridDown"]
        return {
            "exp_labels": {"severity": "critical", "job": "powerwall", "instance": instance},
            "exp_annotations": {
                "summary": f"{instance} is off the grid.",
                "description": f"The home has run on battery and sun for {length}. At its use of the last quarter of "
                f"an hour the batteries alone last {left}.",
                "runbook_url": rule["annotations"]["runbook_url"],
            },
        }

    alerts = [told("home", "a moment", "an unknown time"), told(name, "20m 0s", "2h 30m 0s")]
    tests = [{"eval_time": "20m", "alertname": "PowerwallGridDown", "exp_alerts": alerts}]
    run([{"interval": "1m", "input_series": inputs, "alert_rule_test": tests}], tmp_path)


@pytest.mark.parametrize(
    ("reason", "alert"),
    [
        ("auth", "PowerwallLoginRefused"),
        ("tls", "PowerwallCertificateChanged"),
        ("timeout", "PowerwallProbeFailing"),
        ("http", "PowerwallProbeFailing"),
    ],
)
def test_one_broken_site_raises_one_alert(reason: str, alert: str, tmp_path: Path) -> None:
    """Whatever the cause: the site's own words give way to the one that says what to do."""
    inputs = [
        {"series": labelled("probe_success"), "values": "0x60"},
        {"series": labelled("powerwall_tls_pinned"), "values": "1x60"},
    ] + [
        {"series": labelled(f'probe_failure_reason{{reason="{one}"}}'), "values": f"{int(one == reason)}x60"}
        for one in REASONS
    ]
    tests = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}],
        }
        for minute in (12, 30, 60)
    ]
    run([{"interval": "1m", "input_series": inputs, "promql_expr_test": tests}], tmp_path)


@pytest.mark.slow
def test_a_moment_is_not_enough(tmp_path: Path) -> None:
    """An alert that waits is silent where its condition lasts for a minute only."""
    groups = []
    for alert, case in CASES.items():
        constant = {name: value for name, value in case.bad.items() if not isinstance(value, str)}
        if constant.keys() == case.bad.keys() == case.good.keys() and alert != "PowerwallGridDown":
            brief: Series = {
                name: f"{case.good[name]}x10 {value} {case.good[name]}x200"
                for name, value in constant.items()
            }
            if not any(isinstance(value, str) for value in case.good.values()):
                groups.append(group(alert, case, brief, False, None, 60))
    assert len(groups) > 10
    run(groups, tmp_path)


ENERGY = {
    'powerwall_exported_joules_total{category="solar"}': "0+600000x1500",  # 10 kW
    'powerwall_imported_joules_total{category="load"}': "0+240000x1500",
    'powerwall_imported_joules_total{category="site"}': "0+60000x1500",
    'powerwall_exported_joules_total{category="site"}': "0+150000x1500",
    'powerwall_imported_joules_total{category="battery"}': "0+300000x1500",
    'powerwall_exported_joules_total{category="battery"}': "0+270000x1500",
    'powerwall_battery_discharged_joules_total{serial="A"}': "45e9",
    'powerwall_battery_charged_joules_total{serial="A"}': "50e9",
    'powerwall_battery_full_pack_joules{serial="A"}': "45e6",
    "powerwall_site_nominal_joules": "100e6",
    "powerwall_batteries_configured": "2",
}
RECORDINGS: dict[str, float] = {
    "powerwall:solar_produced_joules:increase1d": 600000 * DAY,
    "powerwall:home_used_joules:increase1d": 240000 * DAY,
    "powerwall:grid_imported_joules:increase1d": 60000 * DAY,
    "powerwall:grid_exported_joules:increase1d": 150000 * DAY,
    "powerwall:battery_charged_joules:increase1d": 300000 * DAY,
    "powerwall:battery_discharged_joules:increase1d": 270000 * DAY,
    "powerwall:battery_cycles:lifetime": 1000,
    "powerwall:battery_round_trip:ratio": 0.9,
    "powerwall:battery_health:ratio": 0.9,
}


@pytest.mark.slow
def test_recordings_by_hand(tmp_path: Path) -> None:
    own = [group for group in GROUPS if group["name"] in ("powerwall_energy", "powerwall_battery")]
    assert list(RECORDINGS) == [rule["record"] for group in own for rule in group["rules"]]
    end = DAY + 30
    inputs = [
        {"series": labelled(name), "values": value if "+" in value else f"{float(value):.0f}x{end}"}
        for name, value in ENERGY.items()
    ]
    tests = [
        {
            "expr": f"round({name} / {expected}, 0.001)",
            "eval_time": f"{end}m",
            "exp_samples": [
                {
                    "labels": f'{HOME},serial="A"}}'
                    if "battery_" in name and "joules" not in name
                    else f"{HOME}}}",
                    "value": 1,
                }
            ],
        }
        for name, expected in RECORDINGS.items()
    ]
    run([{"interval": "1m", "input_series": inputs, "promql_expr_test": tests}], tmp_path)


def test_the_files_are_well_formed() -> None:
    files = sorted(RULES.glob("*.yml"))
    ended = subprocess.run(
        [program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(("alert", "rule"), ALERTS.items(), ids=ALERTS)
def test_an_alert_tells_what_to_do(alert: str, rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert "{{ $labels." in rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    page = "https://example.org/powerwall-probe-exporter/docs/runbook.md"
    assert rule["annotations"]["runbook_url"] == f"{page}#{alert.lower()}"
    assert f"\n## {alert}\n" in RUNBOOK


def test_the_runbook_has_nothing_else() -> None:
    assert re.findall(r"^## (Powerwall\w+)$", RUNBOOK, re.MULTILINE) == list(ALERTS)


def test_every_metric_is_one_of_ours() -> None:
    known = (
        {family.name for family in CATALOGUE}
        | {name for name, _, _ in (*PROBE_FAMILIES, *SITE_FAMILIES, *TARIFF_FAMILIES)}
        | set(RECORDED)
        | {"up", "probe_exporter_config_last_reload_successful"}
    )
    for one in GROUPS:
        for rule in one["rules"]:
            used = set(re.findall(r"\b(?:powerwall[\w:]*|probe_\w+|up)\b(?=[\[{(\s)|\"]|$)", rule["expr"]))
            used -= {"powerwall", "probe_exporter", "powerwall_"}
            assert used, rule
            assert used <= known, used - known
