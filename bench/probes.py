"""Figures of probes: written, cold and warm, one after another and many at once, and those of a peer."""

from __future__ import annotations

import gzip
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from bench.extent import Extent
from bench.farm import There, Wanted, farm, write_config
from bench.floor import ALL, FAST, TWELVE, Cost, cold_floor, cost_of, median, warm_floor
from bench.processes import Exporter, exporter, usage
from bench.report import Figure, Goal, Plot, Report, Series
from bench.scraping import Scrape, at_once, in_turn, quantile, split
from probe_exporter.config import load_config
from probe_exporter.fleet import Fleet
from probe_exporter.metrics.exposition import Format, registry, render
from probe_exporter.metrics.filled import FilledMetric
from probe_exporter.probe import Prober
from probe_exporter.telemetry import Telemetry

GO = "urllib3 loop: 12 requests, as Go asks"


def rendering(report: Report, extent: Extent) -> None:
    """Our renderer beside prometheus_client's, over the same samples; what packing costs at level 1 and 9."""
    metrics = _metrics_of_a_probe()
    for form, generate in (
        (Format.TEXT, generate_latest),
        (Format.OPENMETRICS, openmetrics.generate_latest),
    ):
        text = render(metrics, form)
        collected = registry(metrics)
        if text != generate(collected):
            raise AssertionError("the renderer's bytes differ from prometheus_client's")
        name = f"{form.name.lower()}, {sum(len(one.values) for one in metrics)} samples"
        own = _cpu_of(partial(render, metrics, form), extent)
        theirs = _cpu_of(partial(generate, collected), extent)
        report.add(Figure("rendering", name, own, "s", "generate_latest", theirs, Goal("ratio", 1.0)))
    packed = _cpu_of(lambda: gzip.compress(text, 1, mtime=0), extent)
    best = _cpu_of(lambda: gzip.compress(text, 9, mtime=0), extent)
    report.add(Figure("rendering", "gzip at level 1", packed, "s", "gzip at level 9", best))


def _metrics_of_a_probe() -> tuple[FilledMetric, ...]:
    with TemporaryDirectory() as folder, farm([Wanted("home")]) as gateways:
        fleet = Fleet(load_config(write_config(gateways, Path(folder) / "gateways.yaml")), Telemetry())
        site = fleet.find("home")
        result = Prober(fleet.telemetry).probe(site, site.module(), time.monotonic() + 30.0)
        fleet.close()
    return result.metrics


def _cpu_of(work: Callable[[], object], extent: Extent) -> float:
    work()
    return median([cost_of(work, extent.rounds) for _ in range(extent.batches)]).cpu


def latency(report: Report, extent: Extent) -> None:
    """Wall and CPU of cold and warm probes, by what a request takes."""
    for seconds in extent.latencies:
        _latency(report, extent, seconds)


def _latency(report: Report, extent: Extent, seconds: float) -> None:
    name = f"{seconds * 1e3:.0f} ms a request"
    rounds = max(5, round(extent.rounds / (1.0 + 100.0 * seconds)))
    count = max(2, round(extent.cold / (1.0 + 20.0 * seconds)))
    with ExitStack() as stack:
        gateways = stack.enter_context(
            farm([Wanted(f"site-{number}", seconds) for number in range(2 * count)])
        )
        first, others = gateways[:count], gateways[count:]
        folder = Path(stack.enter_context(TemporaryDirectory()))
        running = stack.enter_context(exporter(write_config(gateways, folder / "gateways.yaml")))
        warm_up(running, gateways[-1])
        cold, scrapes = _measured(running, lambda: in_turn(running.port, [one.probe for one in first]))
        bare_cold = cold_floor(others)
        batches, floors, twelves = [], [], []
        for _ in range(extent.batches):
            cost, warm = _measured(running, lambda: in_turn(running.port, [first[0].probe], rounds))
            batches.append(cost)
            floors.append(warm_floor(first[0], FAST, rounds, 1))
            twelves.append(warm_floor(first[0], TWELVE, max(3, rounds // 2), 1))
    samples = warm[0].samples
    _costs(report, f"cold, {name}", cold.per(count), bare_cold, f"{len(ALL)} requests and a login")
    _costs(report, f"warm, {name}", median(batches).per(rounds), median(floors), f"{len(FAST)} requests")
    wall, twelve = median(batches).wall / rounds, median(twelves)
    goal = Goal("ratio", 0.28) if seconds == 0.05 else None
    report.add(Figure("latency", f"warm, {name}, wall again", wall, "s", GO, twelve.wall, goal))
    if seconds < 0.1:
        beside_twelve(report, f"warm, {samples} samples, {name}", median(batches).cpu / rounds, twelve.cpu)
    if not all(scrape.good for scrape in (*scrapes, *warm)):
        raise RuntimeError("a probe failed that should not")


def beside_twelve(report: Report, name: str, cpu: float, twelve: float) -> None:
    """CPU beside that of the bare loop over as many requests as the Go exporter makes."""
    report.add(Figure("cpu", name, cpu, "s", GO, twelve))


def warm_up(running: Exporter, gateway: There) -> None:
    """Let the exporter meet the first gateway of its life: threads start, modules are imported."""
    in_turn(running.port, [gateway.probe], 3)


def _measured(running: Exporter, work: Callable[[], list[Scrape]]) -> tuple[Cost, list[Scrape]]:
    before, begun = running.usage().cpu, time.perf_counter()
    scrapes = work()
    return Cost(time.perf_counter() - begun, running.usage().cpu - before), scrapes


def _costs(report: Report, name: str, cost: Cost, floor: Cost, requests: str) -> None:
    beside = f"urllib3 loop: {requests}"
    report.add(Figure("latency", f"{name}, wall", cost.wall, "s", beside, floor.wall))
    report.add(Figure("latency", f"{name}, CPU", cost.cpu, "s", beside, floor.cpu))


def throughput(report: Report, extent: Extent) -> None:
    """Probes a second and their quantiles, with some probes at once."""
    for seconds in extent.latencies[:2]:
        _throughput(report, extent, seconds)


def _throughput(report: Report, extent: Extent, seconds: float) -> None:
    name = f"{seconds * 1e3:.0f} ms a request"
    most = max(extent.at_once)
    rates: list[tuple[float, float]] = []
    tails: dict[float, list[tuple[float, float]]] = {0.5: [], 0.95: [], 0.99: []}
    with ExitStack() as stack:
        gateways = stack.enter_context(farm([Wanted(f"site-{number}", seconds) for number in range(most)]))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        running = stack.enter_context(exporter(write_config(gateways, folder / "gateways.yaml")))
        at_once(running.port, [one.probe for one in gateways], 0.001)
        floor = warm_floor(gateways[0], FAST, max(5, extent.rounds // 4), 3).wall
        for count in extent.at_once:
            paths = [one.probe for one in gateways[:count]]
            scrapes, took = at_once(running.port, paths, extent.at_once_seconds)
            walls = [scrape.seconds for scrape in scrapes if scrape.good]
            rates.append((count, len(walls) / took))
            for share, points in tails.items():
                points.append((count, quantile(walls, share) * 1e3))
            if count in (1, 8, 64):
                at = f"{count} at once, {name}"
                report.add(Figure("throughput", at, len(walls) / took, "/s", "one urllib3 loop", 1.0 / floor))
                for share in tails:
                    report.add(
                        Figure("throughput", f"{at}, p{share * 100:.0f}", quantile(walls, share), "s",
                               "one urllib3 loop", floor)
                    )  # fmt: skip
                if len(walls) < len(scrapes):
                    raise RuntimeError("a probe failed that should not")
    suffix = f"{seconds * 1e3:.0f}ms"
    report.plots += [
        Plot(f"throughput-{suffix}", f"Probes a second, {name}", "probes at once", "probes a second",
             [Series("probes a second", rates)]),
        Plot(f"quantiles-{suffix}", f"Time of a probe, {name}", "probes at once", "ms",
             [Series(f"p{share * 100:.0f}", points) for share, points in tails.items()]),
    ]  # fmt: skip


def peer(report: Report, extent: Extent, url: str, pid: int) -> None:
    """Another exporter, scraped as ours: ours beside it, both at a gateway that answers at once."""
    port, path = split(url)
    with ExitStack() as stack:
        gateways = stack.enter_context(farm([Wanted("home")]))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        running = stack.enter_context(exporter(write_config(gateways, folder / "gateways.yaml")))
        warm_up(running, gateways[0])
        in_turn(port, [path], 3)
        own, theirs = [], []
        for _ in range(extent.batches):
            own.append(
                _measured(running, lambda: in_turn(running.port, [gateways[0].probe], extent.rounds))[0]
            )
            before, begun = usage(pid).cpu, time.perf_counter()
            answers = in_turn(port, [path], extent.rounds)
            theirs.append(Cost(time.perf_counter() - begun, usage(pid).cpu - before))
        if any(answer.status != 200 for answer in answers):
            raise RuntimeError("the peer did not answer with 200")
        ours, other = median(own).per(extent.rounds), median(theirs).per(extent.rounds)
        beside = f"the peer, {statistics.median(answer.samples for answer in answers):.0f} samples"
        report.add(Figure("peer", "warm probe, wall", ours.wall, "s", beside, other.wall))
        report.add(Figure("peer", "warm probe, CPU", ours.cpu, "s", beside, other.cpu, Goal("ratio", 1.0)))
        memory = running.usage().resident
        report.add(Figure("peer", "memory", memory, "B", "the peer", usage(pid).resident))
