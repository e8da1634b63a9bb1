"""The worked example of docs/fleet.md: three hundred sites, the alert of a region, and what it keeps quiet."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

from probe_exporter.config import load_config
from tests.conftest import program
from tests.prometheus_server import free_port
from tests.started import PATIENCE, get, run

ROOT = Path(__file__).parent.parent
FLEET = ROOT / "examples/fleet"
PAGE = (ROOT / "docs/fleet.md").read_text(encoding="utf-8")
SITES = 180


def test_a_table_becomes_three_hundred_sites_in_five_lines(tmp_path: Path) -> None:
    """The recipe of the page, run as it stands there."""
    found = re.search(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    header, *_ = (FLEET / "sites.csv").read_text(encoding="utf-8").splitlines()
    rows = [f"north-{number:03},198.51.100.{number},north" for number in range(1, SITES + 1)]
    (tmp_path / "sites.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    (tmp_path / "gateways.d").mkdir()
    subprocess.run([sys.executable, "-c", found[1]], cwd=tmp_path, check=True, timeout=60)

    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for number in range(1, SITES + 1):
        (credentials / f"sites_north-{number:03}").write_text(f"word {number}", encoding="utf-8")
        (credentials / f"sites_north-{number:03}").chmod(0o600)
    text = (FLEET / "probe_exporter.yaml").read_text(encoding="utf-8")
    copied = text.replace("/run/credentials/probe_exporter.service", str(credentials))
    (tmp_path / "probe_exporter.yaml").write_text(copied, encoding="utf-8")
    (tmp_path / "probe_exporter.yaml").chmod(0o600)
    config = load_config(tmp_path / "probe_exporter.yaml", environment={})

    assert len(config.gateways) == SITES
    last = config.gateways["north-180"]
    assert last.tls_cert_file == tmp_path / "certs/north-180.pem"
    assert last.login_password is not None
    assert last.login_password.reveal() == "word 180"
    assert last.labels["region"] == "north"


def test_the_credentials_are_where_the_unit_puts_them() -> None:
    added = re.search(r"^LoadCredential=(\w+):(\S+)$", PAGE, re.MULTILINE)
    assert added is not None
    module = yaml.safe_load((FLEET / "probe_exporter.yaml").read_text(encoding="utf-8"))["modules"]["default"]
    unit = ROOT / "examples/systemd/probe_exporter.service"
    assert module["login_password_file"] == f"/run/credentials/{unit.name}/{added[1]}_{{name}}"
    assert f":{added[2]}/home\n" in unit.read_text(encoding="utf-8")


# The alert of a region


def sites_of(region: str, sites: int, failing: int) -> list[dict[str, str]]:
    """Series of promtool: so many sites, of which some fail from the tenth minute on."""
    return [
        {
            "series": f'probe_success{{job="powerwall",instance="{region}-{number}",region="{region}"}}',
            "values": "1x9 0x30" if number < failing else "1x40",
        }
        for number in range(sites)
    ]


def test_a_region_that_fails_is_told_before_any_of_its_sites(tmp_path: Path) -> None:
    """North loses 40 of 180. South loses four of 12, and the west nine of 60: those are their own faults."""
    series = [*sites_of("north", 180, 40), *sites_of("south", 12, 4), *sites_of("west", 60, 9)]
    firing = 'count by (alertname, region) (ALERTS{alertstate="firing"})'
    region = {"labels": '{alertname="PowerwallRegionFailing",region="north"}', "value": 1}
    of_sites = [
        {"labels": f'{{alertname="PowerwallProbeFailing",region="{name}"}}', "value": count}
        for name, count in (("north", 40), ("south", 4), ("west", 9))
    ]
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {"expr": firing, "eval_time": "11m", "exp_samples": []},
            {"expr": firing, "eval_time": "15m", "exp_samples": [region]},
            {"expr": firing, "eval_time": "25m", "exp_samples": [region, *of_sites]},
        ],
    }
    rules = [str(FLEET / "regions.yml"), str(ROOT / "examples/prometheus/rules/*.yml")]
    document = {"rule_files": rules, "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    run(program("promtool"), "test", "rules", tmp_path / "test.yml")


# What Alertmanager makes of it


def alert(name: str, **labels: str) -> dict[str, Any]:
    """An alert as Prometheus sends it; it ends in an hour."""
    end = datetime.now(timezone.utc) + timedelta(hours=1)
    return {"labels": {"alertname": name, "severity": "critical", **labels}, "endsAt": end.isoformat()}


def test_alertmanager_keeps_sites_quiet_while_their_region_is_gone(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [
            program("prometheus-alertmanager"),
            f"--config.file={FLEET / 'alertmanager.yml'}",
            f"--storage.path={tmp_path}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/api/v2/alerts"
    sent = [
        alert("PowerwallRegionFailing", region="north", job="powerwall"),
        alert("PowerwallProbeFailing", region="north", instance="north-001"),
        alert("PowerwallLoginRefused", region="north", instance="north-002"),
        alert("PowerwallProbeFailing", region="south", instance="south-001"),
    ]
    try:
        assert get(process, f"http://127.0.0.1:{port}/-/ready")
        request = urllib.request.Request(url, json.dumps(sent).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=PATIENCE).close()
        deadline = time.monotonic() + PATIENCE
        while "unprocessed" in (answer := get(process, url)) and time.monotonic() < deadline:
            time.sleep(0.2)
        states = {
            one["labels"].get("instance", "region"): one["status"]["state"] for one in json.loads(answer)
        }
    finally:
        process.terminate()
        process.wait(PATIENCE)
    assert states == {
        "region": "active",
        "north-001": "suppressed",
        "north-002": "active",
        "south-001": "active",
    }
