"""``probe_exporter tariff``, and the tariffs in examples/tariffs, proofread by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe_exporter.config import load_config
from tests.test_cli import call

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples" / "tariffs").glob("*.yaml"))
GATEWAY = "\ngateways: {home: {gateway_address: 192.0.2.1, tariff: %s}}\n"


def with_gateway(path: Path, folder: Path) -> Path:
    """The example, with a gateway that has its tariff."""
    text = path.read_text(encoding="utf-8")
    name = text.partition("tariffs:\n  ")[2].partition(":")[0]
    config = folder / path.name
    config.write_text(text + GATEWAY % name, encoding="utf-8")
    return config


def shown(config: Path, *arguments: str) -> list[list[str]]:
    """The lines of the table: date, time and offset, period, import price, export price."""
    result = call("--config.file", str(config), "--log.level=error", "tariff", "home", *arguments)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("FROM"))
    rows = [line for line in lines[begin + 1 :] if line[:3] in "Mon Tue Wed Thu Fri Sat Sun".split()]
    found = []
    for row in rows:
        *period, imported, exported = row[30:].split()
        found.append([row[4:20] + row[23:29], " ".join(period), imported, exported])
    return found


def test_the_examples_are_four() -> None:
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_and_each_of_its_prices_applies_within_a_year(path: Path, tmp_path: Path) -> None:
    config = load_config(with_gateway(path, tmp_path), environment={})
    prices = config.gateways["home"].prices
    assert prices is not None
    begin = 1_767_225_600.0  # 2026-01-01 UTC
    holding = [prices.prices(begin), *(changed for _, changed in prices.changes(begin, begin + 366 * 86400))]
    named = {(one.name, one.price) for one in prices.imported}
    assert {(one.imported.name, one.imported.price) for one in holding} == named
    assert {one.exported for one in holding} == set(prices.exported)


DAYS = {
    "british_night": (
        "2026-10-25",  # the clock is put back at 02:00, within the night
        [
            ["2026-10-25 00:00 +0100", "night", "0.0799", "0.15"],
            ["2026-10-25 05:30 +0000", "day", "0.2612", "0.15"],
            ["2026-10-25 23:30 +0000", "night", "0.0799", "0.15"],
        ],
    ),
    "californian_seasons": (
        "2026-07-03",  # a Friday
        [
            ["2026-07-03 00:00 -0700", "off-peak", "0.3141", "0.1183"],
            ["2026-07-03 08:00 -0700", "off-peak", "0.3141", "0.0521"],
            ["2026-07-03 15:00 -0700", "partial peak", "0.4421", "0.0521"],
            ["2026-07-03 16:00 -0700", "peak", "0.6135", "0.1183"],
            ["2026-07-03 21:00 -0700", "partial peak", "0.4421", "0.1183"],
            ["2026-07-04 00:00 -0700", "off-peak", "0.3141", "0.1183"],
        ],
    ),
    "australian_free_hours": (
        "2026-10-04",  # summer time begins on this day in Sydney, and never in Brisbane
        [
            ["2026-10-04 00:00 +1000", "shoulder", "0.2915", "0.03"],
            ["2026-10-04 10:00 +1000", "shoulder", "0.2915", "-0.012"],
            ["2026-10-04 11:00 +1000", "free", "0", "-0.012"],
            ["2026-10-04 14:00 +1000", "shoulder", "0.2915", "-0.012"],
            ["2026-10-04 15:00 +1000", "shoulder", "0.2915", "0.03"],
            ["2026-10-04 16:00 +1000", "peak", "0.4565", "0.138"],
            ["2026-10-04 21:00 +1000", "shoulder", "0.2915", "0.03"],
        ],
    ),
    "german_two_rates": (
        "2026-07-10",  # a Friday; the meter's clock shows winter time
        [
            ["2026-07-10 00:00 +0100", "low", "0.2549", "0.0811"],
            ["2026-07-10 06:00 +0100", "high", "0.3312", "0.0811"],
            ["2026-07-10 21:00 +0100", "low", "0.2549", "0.0811"],
        ],
    ),
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_day_of_each_example(path: Path, tmp_path: Path) -> None:
    day, expected = DAYS[path.stem]
    assert shown(with_gateway(path, tmp_path), "--at", day, "--days", "1") == expected


def test_a_moment_with_an_offset_and_the_rest_of_the_text(tmp_path: Path) -> None:
    config = with_gateway(EXAMPLES[1], tmp_path)
    assert EXAMPLES[1].stem == "british_night"
    result = call(
        "--config.file", str(config), "tariff", "home", "--at", "2026-07-01T22:29:59Z", "--days", "1"
    )
    assert result.stdout == (
        "home: tariff night, GBP per kWh, clock of Europe/London, standing charge 0.5124 GBP a day\n"
        "\n"
        "FROM                           PERIOD  IMPORT  EXPORT\n"
        "Wed 2026-07-01 23:29:59 +0100  day     0.2612    0.15\n"
        "Wed 2026-07-01 23:30:00 +0100  night   0.0799    0.15\n"
        "Thu 2026-07-02 05:30:00 +0100  day     0.2612    0.15\n"
        "\n"
        "The next change after that: Thu 2026-07-02 23:30:00 +0100\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["home", "--at", "tomorrow"], "--at is not a time from 1971 to 2099"),
        (["home", "--at", "1900-01-01"], "--at is not a time from 1971 to 2099"),
        (["home", "--days", "0"], "--days"),
        (["barn"], "there is no gateway with the name or address"),
        ([], "TARGET"),
    ],
)
def test_a_wrong_command_line_says_what_to_write(arguments: list[str], told: str, tmp_path: Path) -> None:
    config = with_gateway(EXAMPLES[0], tmp_path)
    result = call("--config.file", str(config), "tariff", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert told in result.stderr


def test_a_gateway_without_a_tariff_is_told(tmp_path: Path) -> None:
    config = tmp_path / "probe_exporter.yaml"
    config.write_text("gateways: {home: {gateway_address: 192.0.2.1}}\n")
    result = call("tariff", "home", folder=tmp_path)
    assert result.returncode == 2
    assert "home has no tariff; write one below tariffs:, as docs/prices.md shows" in result.stderr


def test_a_probe_that_fails_prints_its_prices(tmp_path: Path) -> None:
    config = with_gateway(EXAMPLES[0], tmp_path)
    config.write_text(config.read_text().replace("192.0.2.1", "127.0.0.1:9"))
    result = call("--config.file", str(config), "--log.level=error", "probe", "--timeout=2s")
    assert result.returncode == 1
    assert "\nprobe_success 0.0\n" in result.stdout
    assert '\npowerwall_tariff_standing_charge{currency="AUD"} 1.21\n' in result.stdout


def test_the_page_on_prices_shows_what_the_program_prints(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "prices.md").read_text(encoding="utf-8")
    tariffs = page.partition("```yaml\n")[2].partition("```")[0]
    command, _, printed = page.partition("```console\n$ ")[2].partition("```")[0].partition("\n")
    config = tmp_path / "probe_exporter.yaml"
    config.write_text(tariffs, encoding="utf-8")
    result = call("--config.file", str(config), *command.split()[1:])
    assert result.returncode == 0, result.stderr
    assert result.stdout == printed
