"""The parts of the benchmark work: what it measures is told by its own report."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from bench import page
from bench.__main__ import main
from bench.farm import There, Wanted, farm, write_config
from bench.floor import FAST, warm_floor
from bench.plot import svg, ticks
from bench.processes import Exporter, exporter, usage
from bench.report import Figure, Goal, Plot, Series, row
from bench.scraping import Scrape, at_once, in_turn, on_time, quantile, split


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exporter, list[There]]]:
    wanted = [Wanted("well", batteries=2), Wanted("refusing", fault="refuse", phase="connect")]
    folder = tmp_path_factory.mktemp("bench")
    with (
        farm(wanted, processes=2) as gateways,
        exporter(write_config(gateways, folder / "gateways.yaml")) as one,
    ):
        yield one, gateways


def test_an_exporter_is_scraped_as_prometheus_does(running: tuple[Exporter, list[There]]) -> None:
    one, (well, refusing) = running
    good, bad = in_turn(one.port, [well.probe, refusing.probe])
    assert good.good
    assert good.text.endswith(b"# EOF\n")
    assert good.samples > 300
    assert bad.status == 200
    assert not bad.good


def test_many_at_once_and_on_time(running: tuple[Exporter, list[There]]) -> None:
    one, (well, _) = running
    scrapes, seconds = at_once(one.port, [well.probe, "/-/healthy"], 0.1)
    assert len(scrapes) >= 2
    assert seconds >= 0.1
    told: list[int] = []
    rounds = on_time(one.port, [well.probe, "/-/healthy"], 0.05, 2, told.append)
    assert [[scrape.status for scrape in scrapes] for scrapes in rounds] == [[200, 200]] * 2
    assert told == [0, 1]


def test_a_scrape_that_gets_no_answer_is_no_error() -> None:
    with farm([Wanted("closed")]) as (gone,):
        pass
    assert in_turn(gone.port, ["/probe"])[0].status == 0


def test_what_a_process_uses(running: tuple[Exporter, list[There]]) -> None:
    one, (well, _) = running
    before = one.usage()
    in_turn(one.port, [well.probe], 5)
    after = one.usage()
    assert after.cpu > before.cpu > 0.0
    assert after.peak >= after.resident > 10e6
    assert after.threads > 1
    assert after.descriptors > 5
    assert one.started > 0.0
    assert one.own("probe_exporter_gateways") == 2.0
    with pytest.raises(KeyError):
        one.own("probe_exporter_nothing")
    assert usage(os.getpid()).threads >= 1


def test_the_floor_asks_what_a_warm_probe_asks(running: tuple[Exporter, list[There]]) -> None:
    one, (well, _) = running
    cost = warm_floor(well, FAST, rounds=2, batches=1)
    assert cost.wall >= cost.cpu > 0.0
    in_turn(one.port, [well.probe])
    before = one.own("probe_exporter_gateway_requests_total")
    in_turn(one.port, [well.probe])
    assert one.own("probe_exporter_gateway_requests_total") - before == len(FAST)


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (None, None),
        (Goal("value", 2.0), True),
        (Goal("value", 1.9), False),
        (Goal("ratio", 0.5), True),
        (Goal("ratio", 0.6, at_least=True), False),
    ],
)
def test_a_goal_bounds_the_value_or_the_ratio(goal: Goal | None, met: bool | None) -> None:
    figure = Figure("group", "name", 2.0, "s", "beside", 4.0, goal)
    assert figure.ratio == 0.5
    assert figure.met is met
    assert ("!" in row(figure)) == (met is False)


def test_a_reference_of_nothing_gives_no_ratio() -> None:
    assert math.isnan(Figure("group", "name", 2.0, "s", "beside", 0.0).ratio)


@pytest.mark.parametrize(
    ("highest", "expected"),
    [(0.0, [0, 1]), (1.0, [0, 0.2, 0.4, 0.6, 0.8, 1]), (64.0, [0, 20, 40, 60, 80])],
)
def test_ticks_are_round_numbers(highest: float, expected: list[float]) -> None:
    assert ticks(highest) == pytest.approx(expected)


def test_a_plot_is_a_picture() -> None:
    plot = Plot("name", "A <title>", "across", "up", [Series("one & two", [(0.0, 1.0), (8.0, 3.5)])])
    picture = ET.fromstring(svg(plot))
    texts = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "A <title>" in texts
    assert "one & two" in texts
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}circle"))) == 2


def test_quantiles_are_measured_ones() -> None:
    assert [quantile([4.0, 1.0, 3.0, 2.0], share) for share in (0.0, 0.5, 0.99)] == [1.0, 2.0, 4.0]


def test_the_page_shows_the_report() -> None:
    text = page.PAGE.read_text("utf-8")
    report = json.loads(page.REPORT.read_text("utf-8"))
    assert page.with_table(text, report) == text, "run python -m bench.page"
    assert {entry["group"] for entry in report["figures"]} >= {
        "latency",
        "throughput",
        "average",
        "fleet",
        "start",
    }


def test_a_peer_stands_on_this_machine() -> None:
    assert split("http://127.0.0.1:9961/metrics?a=b") == (9961, "/metrics?a=b")
    with pytest.raises(ValueError, match="on this machine"):
        split("http://192.0.2.1:9961/metrics")


def test_a_failed_scrape_has_no_samples() -> None:
    assert Scrape(1.0, 0).samples == 0
    assert not Scrape(1.0, 200, b"# EOF\n").good


@pytest.mark.slow
def test_the_report_says_what_was_measured_and_where(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--quick", "rendering", "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["machine"]["cores"] >= 1
    names = [figure["name"] for figure in report["figures"]]
    assert any(name.startswith("openmetrics, ") for name in names)
    assert all(figure["reference"] > 0.0 and figure["beside"] for figure in report["figures"])
    assert str(tmp_path) not in json.dumps(report)


def test_half_a_peer_is_refused() -> None:
    result = CliRunner().invoke(main, ["--peer", "http://127.0.0.1:1/metrics"])
    assert result.exit_code == 2
    assert "belong together" in result.output
