"""The documents tell the truth: generated pages are current, nothing is missing, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from probe_exporter import __version__
from probe_exporter.cli import COMMANDS, cli
from probe_exporter.cli.reference import markdown
from probe_exporter.config import load_config
from probe_exporter.config.schema import SECTIONS
from probe_exporter.errors import REASONS
from probe_exporter.gateway.wire import MAX_BODY, MAX_HEAD
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.assembly import MAX_ENDPOINT_SERIES, MAX_GATEWAY_SERIES
from probe_exporter.readings.payload import MAX_TEXT, MAX_VALUES
from probe_exporter.web import accepting, connection, messages
from probe_exporter.web.probing import MOST_RUNS
from tests import configuration_page, metrics_page, session_table
from tests.conftest import program
from tests.test_catalogue import GO_EXPORTER

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))


def options() -> Iterator[tuple[str, str]]:
    context = click.Context(cli)
    commands = {"": cli, **{name: cli.get_command(context, name) for name in COMMANDS}}
    for name, command in commands.items():
        assert command is not None
        for parameter in command.get_params(context):
            if isinstance(parameter, click.Option):
                yield name, parameter.opts[0]


def test_the_metrics_page_is_current() -> None:
    assert (ROOT / "METRICS.md").read_text(encoding="utf-8") == metrics_page.markdown(), "run make docs"


def test_the_table_of_the_session_is_current() -> None:
    assert session_table.PAGE.read_text(encoding="utf-8") == session_table.markdown(), "run make docs"


def test_the_tables_of_the_configuration_page_are_current() -> None:
    page = configuration_page.PAGE.read_text(encoding="utf-8")
    assert page == configuration_page.markdown(), "run make docs"
    assert configuration_page.sections() == SECTIONS.keys()


def test_the_command_line_page_is_current() -> None:
    assert (ROOT / "docs/cli.md").read_text(encoding="utf-8") == markdown(), "run make docs"


@pytest.mark.parametrize(("command", "option"), sorted(set(options())))
def test_every_option_is_documented(command: str, option: str) -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    section = page.partition(f"## probe_exporter {command}".rstrip() + "\n")[2].partition("\n## ")[0]
    assert option in section


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_names_every_command(command: str) -> None:
    assert f"probe_exporter {command}" in README


@pytest.mark.parametrize("reason", REASONS)
def test_the_readme_helps_with_every_reason(reason: str) -> None:
    assert f"\n### {reason}\n" in README


def test_the_changelog_has_the_version() -> None:
    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), target
        if anchor and there.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, target


def _anchor(heading: str) -> str:
    """The anchor that a forge makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md"])
def test_configurations_in_the_documents_load(tmp_path: Path, page: str) -> None:
    (tmp_path / "password").write_text("not-a-password\n")
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "gateways.d").mkdir()
    (tmp_path / "secrets").mkdir()
    for name in ("north-1", "north-2"):
        (tmp_path / "secrets" / name).write_text("not-a-password\n")
    blocks = [block for block in _blocks(page, "yaml") if "gateways:" in block]
    assert len(blocks) >= 2
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(
            block.replace("/run/credentials/home", "password").replace(
                "/var/lib/probe_exporter", str(tmp_path)
            )
        )
        path.chmod(0o600)
        assert load_config(path).gateways


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    for target in phony[1].split():
        assert re.search(rf"^{target}:.* ## \S", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_bounds_are_those_of_the_code() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert MAX_BODY == 1 << 20
    assert MAX_VALUES == 10_000
    assert f"headers within {connection.HEADER_DEADLINE:g} s and {messages.MAX_HEAD >> 10} KiB" in page
    assert (
        f"kept for {connection.IDLE_TIMEOUT} s, an answer waits {connection.UNREAD_TIMEOUT:g} s to be read"
        in page
    )
    assert f"a TLS handshake within {accepting.HANDSHAKE_DEADLINE:g} s" in page
    assert f"{accepting.MAX_CONNECTIONS:,} connections" in page
    assert f"one run for each gateway, at most {MOST_RUNS:,}" in page
    assert f"{MAX_ENDPOINT_SERIES:,} for each endpoint, {MAX_GATEWAY_SERIES:,} for each gateway" in page
    assert f"| {MAX_TEXT} characters" in page
    assert f"answer | {MAX_HEAD >> 10} KiB" in page


MOVING = (ROOT / "docs/moving.md").read_text(encoding="utf-8")

EXPORT = """name,time,home,solar,from_grid,to_grid,from_pw,to_pw,percentage
http,1700000000,812.5,0,812.5,0,0,0,42.5
http,1700000060,800,1500,,0,0,700,43
"""
"""Two lines as InfluxDB writes them; the second lacks a value."""


def test_the_page_on_moving_lists_the_families_of_the_go_exporter() -> None:
    kinds = {family.name: family.kind for family in CATALOGUE}
    listed = dict(re.findall(r"^\| `(\w+)` \| (gauge|counter) \|$", MOVING, re.MULTILINE))
    assert listed == {name: kinds[f"powerwall_{name}"] for name in GO_EXPORTER}


def test_the_history_of_powerwall_dashboard_becomes_blocks(tmp_path: Path) -> None:
    converted = subprocess.run(
        [sys.executable, "-c", _blocks("docs/moving.md", "python")[0]],
        input=EXPORT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    samples = [line for line in converted.splitlines() if line.endswith("1700000060")]
    assert samples == [
        'powerwall_instant_power_watts{job="powerwall",instance="home",category="load"} 800 1700000060',
        'powerwall_instant_power_watts{job="powerwall",instance="home",category="solar"} 1500 1700000060',
        'powerwall_instant_power_watts{job="powerwall",instance="home",category="battery"} -700 1700000060',
        'powerwall_charge_ratio{job="powerwall",instance="home"} 0.43 1700000060',
    ]
    (tmp_path / "history.om").write_text(converted)
    command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "history.om", "data"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert list((tmp_path / "data").glob("*/index"))


@pytest.mark.parametrize("page", ["README.md", "docs/moving.md"])
def test_prometheus_takes_the_configurations_in_the_documents(tmp_path: Path, page: str) -> None:
    blocks = [block for block in _blocks(page, "yaml") if block.startswith("scrape_configs:")]
    assert blocks
    for block in blocks:
        (tmp_path / "prometheus.yml").write_text(block)
        command = [program("promtool"), "check", "config", "prometheus.yml"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)


def test_the_short_configuration_scrapes_the_exporter_itself() -> None:
    first = yaml.safe_load(
        next(block for block in _blocks("README.md", "yaml") if "scrape_configs:" in block)
    )
    assert [job["job_name"] for job in first["scrape_configs"]] == ["powerwall", "probe_exporter"]


def test_the_picture_is_small() -> None:
    assert (ROOT / "docs/gateway.png").stat().st_size <= 200_000
