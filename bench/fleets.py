"""Figures of fleets: a probe's average cost over ten minutes, a thousand gateways of which some are ill, growth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.extent import Extent
from bench.farm import There, Wanted, farm, write_config
from bench.floor import FAST, TWELVE, warm_floor
from bench.probes import beside_twelve
from bench.processes import Exporter, Usage, exporter
from bench.report import Figure, Goal, Plot, Report, Series
from bench.scraping import Scrape, in_turn, on_time, quantile

_REQUESTS = "probe_exporter_gateway_requests_total"
_PATIENT = 0.05
"""Seconds that a gateway of a large fleet takes to answer."""

_SLOW = 0.5

_FEW = 20
"""Gateways that are no load, probed at the same pace so that the slower tiers have their turns alike."""


@contextmanager
def _running(wanted: Sequence[Wanted]) -> Iterator[tuple[Exporter, list[There]]]:
    """An exporter under the usual soft limit of descriptors, over these gateways."""
    with ExitStack() as stack:
        gateways = stack.enter_context(farm(wanted))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        config = write_config(gateways, folder / "gateways.yaml")
        yield stack.enter_context(exporter(config)), gateways


def average(report: Report, extent: Extent) -> None:
    """What a probe costs over ten minutes at the usual interval: the first one and every tier at its turn counted."""
    count, rounds = extent.average
    with _running([Wanted(f"site-{number}") for number in range(count)]) as (running, gateways):
        floor = warm_floor(gateways[0], TWELVE, extent.rounds, extent.batches).cpu
        pause = extent.interval / count
        paced = warm_floor(gateways[0], TWELVE, extent.rounds, 1, pause).cpu
        before, asked = running.usage().cpu, running.own(_REQUESTS)
        result = on_time(running.port, [one.probe for one in gateways], extent.interval, rounds)
        probes = count * rounds
        cpu = (running.usage().cpu - before) / probes
        requests = (running.own(_REQUESTS) - asked) / probes
        samples = result[-1][0].samples
    name = f"{rounds} probes of {count} gateways every {extent.interval:g} s"
    report.add(
        Figure(
            "average", f"{name}, requests a probe", requests, "", "the Go exporter's requests", len(TWELVE)
        )
    )
    report.add(
        Figure("average", f"{name}, CPU a probe", cpu, "s", "urllib3 loop: as many requests",
               floor * requests / len(TWELVE))
    )  # fmt: skip
    beside_twelve(report, f"{name}, {samples} samples", cpu, floor)
    beside_twelve(report, f"the same, the floor every {pause * 1e3:.0f} ms too", cpu, paced)


@dataclass(frozen=True, slots=True)
class _Run:
    """What a run of a large fleet left: the rounds of scrapes, the use before each and at the end."""

    rounds: list[list[Scrape]]
    uses: list[Usage]

    def cores(self, first: int, last: int, interval: float) -> float:
        """CPU seconds a second, from the beginning of one round to that of another."""
        return (self.uses[last].cpu - self.uses[first].cpu) / ((last - first) * interval)


def _run(running: Exporter, gateways: Sequence[There], interval: float, rounds: int) -> _Run:
    """The first round is the first of the gateways' lives, and apart."""
    uses: list[Usage] = []

    def look(number: int) -> None:
        uses.append(running.usage())

    scrapes = on_time(running.port, [one.probe for one in gateways], interval, rounds, look)
    uses.append(running.usage())
    return _Run(scrapes, uses)


def fleet(report: Report, extent: Extent) -> None:
    """A large fleet, all well, then with a tenth that hangs, some that refuse and some that are slow."""
    count, rounds = extent.fleet
    ill = _ill(count)
    names = {f"site-{number}" for number in range(count)} - {one.name for one in ill}
    wanted = [Wanted(f"site-{number}", _PATIENT) for number in range(count)]
    with _running(wanted) as (running, gateways):
        idle = running.usage()
        well = _run(running, gateways, extent.interval, rounds)
        few = [one.probe for one in gateways[:_FEW]]
        alone = _flat(on_time(running.port, few, extent.interval, rounds)[1:])
        floor = warm_floor(gateways[0], FAST, max(5, extent.rounds // 4), 3)
    broken = {one.name: one for one in ill}
    with _running([broken.get(one.name, one) for one in wanted]) as (running, gateways):
        spoilt = _run(running, gateways, extent.interval, rounds)
    healthy = [index for index, one in enumerate(gateways) if one.name in names]
    unloaded = quantile([scrape.seconds for scrape in alone], 0.99)
    title = f"{count} gateways every {extent.interval:g} s"
    bare = floor.cpu * count / extent.interval
    _well(report, title, well, unloaded, extent.interval)
    _resources(report, f"{title}, all well", well, idle, bare, extent.interval)
    title += f", {len(ill)} of them ill"
    _spoilt(report, title, spoilt, well, healthy, unloaded)
    _resources(report, title, spoilt, idle, bare, extent.interval)


def _ill(count: int) -> list[Wanted]:
    """Of a hundred ten hang, half of them in the handshake, two refuse and five are slow."""
    ill: list[Wanted] = []
    for number in range(count):
        name, place = f"site-{number}", number % 100
        if place % 10 == 3:
            ill.append(Wanted(name, fault="hang", phase="tls" if place % 20 == 3 else "headers"))
        elif place in (8, 58):
            ill.append(Wanted(name, fault="refuse", phase="connect"))
        elif place % 20 == 6:
            ill.append(Wanted(name, latency=_SLOW))
    return ill


def _well(report: Report, title: str, run: _Run, unloaded: float, interval: float) -> None:
    """The fleet without anything ill: the first round of its life, and a later one."""
    scrapes = _flat(run.rounds[1:])
    report.add(
        Figure("fleet", f"{title}, all well, p99", quantile([one.seconds for one in scrapes], 0.99), "s",
               f"p99 of {_FEW} alone", unloaded)
    )  # fmt: skip
    first = [one.seconds for one in run.rounds[0]]
    report.add(
        Figure("fleet", f"{title}, first round, p99", quantile(first, 0.99), "s",
               f"p99 of {_FEW} alone, warm", unloaded)
    )  # fmt: skip
    last = len(run.uses) - 1
    report.add(
        Figure("fleet", f"{title}, first round, CPU", run.cores(0, 1, interval), "cores", "later rounds",
               run.cores(1, last, interval))
    )  # fmt: skip


def _spoilt(
    report: Report, title: str, run: _Run, well: _Run, healthy: Sequence[int], unloaded: float
) -> None:
    scrapes = [scrapes[index] for scrapes in run.rounds for index in healthy]
    good = sum(scrape.good for scrape in scrapes)
    report.add(
        Figure("fleet", f"{title}, good probes of the healthy", good, "", "all probes of the healthy",
               len(scrapes), Goal("ratio", 1.0, at_least=True))
    )  # fmt: skip
    walls = [scrapes[index].seconds for scrapes in run.rounds[1:] for index in healthy]
    whole = [scrapes[index].seconds for scrapes in well.rounds[1:] for index in healthy]
    tail = quantile(walls, 0.99)
    report.add(
        Figure("fleet", f"{title}, p99 of the healthy", tail, "s", f"p99 of {_FEW} alone", unloaded,
               Goal("ratio", 2.0))
    )  # fmt: skip
    report.add(
        Figure("fleet", f"{title}, p50 of the healthy", quantile(walls, 0.5), "s", "p50 while all were well",
               quantile(whole, 0.5))
    )  # fmt: skip
    late = max(scrape.seconds for scrapes in run.rounds for scrape in scrapes)
    report.add(
        Figure("fleet", f"{title}, the latest answer of all", late, "s", "Prometheus' patience", 10.0,
               Goal("ratio", 1.0))
    )  # fmt: skip


def _flat(rounds: Sequence[Sequence[Scrape]]) -> list[Scrape]:
    return [scrape for scrapes in rounds for scrape in scrapes]


def _resources(report: Report, title: str, run: _Run, idle: Usage, bare: float, interval: float) -> None:
    """What a run took; its first round, which logs in everywhere, is apart. ``bare`` in cores."""
    count = len(run.rounds[0])
    cores = run.cores(1, len(run.uses) - 1, interval)
    peak = max(one.peak for one in run.uses)
    threads = max(one.threads for one in run.uses)
    descriptors = max(one.descriptors for one in run.uses)
    report.add(
        Figure("fleet", f"{title}, CPU", cores, "cores", "urllib3 loops: as many probes", bare,
               Goal("value", 0.25))
    )  # fmt: skip
    report.add(
        Figure("fleet", f"{title}, memory", peak, "B", "the same, before the first probe", idle.resident,
               Goal("value", 150e6))
    )  # fmt: skip
    report.add(Figure("fleet", f"{title}, threads", threads, "", "gateways", count))
    report.add(Figure("fleet", f"{title}, descriptors", descriptors, "", "gateways", count))


def growth(report: Report, extent: Extent) -> None:
    """How CPU, time and memory grow with the gateways of a fleet, and with the batteries of one."""
    _growth_with_gateways(report, extent)
    _growth_with_batteries(report, extent)


def _growth_with_gateways(report: Report, extent: Extent) -> None:
    memory, cpu = [], []
    for count in extent.gateways:
        with _running([Wanted(f"site-{number}") for number in range(count)]) as (running, gateways):
            paths = [one.probe for one in gateways]
            in_turn(running.port, paths)
            rounds = max(1, extent.rounds * 5 // count)
            before = running.usage().cpu
            in_turn(running.port, paths, rounds)
            after = running.usage()
        memory.append((count, after.peak / 1e6))
        cpu.append((count, (after.cpu - before) / (rounds * count) * 1e3))
    most = extent.gateways[-1]
    report.add(
        Figure("growth", f"memory, {most} gateways probed", memory[-1][1] * 1e6, "B", "1 gateway",
               memory[0][1] * 1e6)
    )  # fmt: skip
    report.add(
        Figure("growth", f"CPU a warm probe, {most} gateways", cpu[-1][1] / 1e3, "s", "1 gateway",
               cpu[0][1] / 1e3)
    )  # fmt: skip
    report.plots += [
        Plot("memory-gateways", "Memory with gateways", "gateways", "MB", [Series("resident", memory)]),
        Plot("cpu-gateways", "CPU of a warm probe with gateways", "gateways", "ms", [Series("CPU", cpu)]),
    ]


def _growth_with_batteries(report: Report, extent: Extent) -> None:
    wall, cpu, samples = [], [], []
    wanted = [Wanted(f"site-{count}", batteries=count) for count in extent.batteries]
    with _running(wanted) as (running, gateways):
        for count, gateway in zip(extent.batteries, gateways, strict=True):
            in_turn(running.port, [gateway.probe], 3)
            before = running.usage().cpu
            scrapes = in_turn(running.port, [gateway.probe], extent.rounds)
            cpu.append((count, (running.usage().cpu - before) / len(scrapes) * 1e3))
            wall.append((count, quantile([one.seconds for one in scrapes], 0.5) * 1e3))
            samples.append((count, float(scrapes[-1].samples)))
    most, least = extent.batteries[-1], extent.batteries[0]
    report.add(
        Figure("growth", f"CPU a warm probe, {most} batteries", cpu[-1][1] / 1e3, "s", f"{least} battery",
               cpu[0][1] / 1e3)
    )  # fmt: skip
    report.add(
        Figure("growth", f"samples, {most} batteries", samples[-1][1], "", f"{least} battery", samples[0][1])
    )
    report.plots += [
        Plot("batteries", "A warm probe with batteries", "batteries", "ms",
             [Series("wall", wall), Series("CPU", cpu)]),
        Plot("samples", "Samples with batteries", "batteries", "samples", [Series("samples", samples)]),
    ]  # fmt: skip
