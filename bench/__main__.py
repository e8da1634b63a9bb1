"""``python -m bench``: measure, print the table, write the report."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

import click

from bench.extent import FULL, QUICK, Extent
from bench.fleets import average, fleet, growth
from bench.plot import svg
from bench.probes import latency, peer, rendering, throughput
from bench.processes import ROOT, allow_descriptors
from bench.report import Report, heading, machine, write
from bench.startup import start

FIGURES: Final[dict[str, Callable[[Report, Extent], None]]] = {
    "rendering": rendering,
    "latency": latency,
    "throughput": throughput,
    "start": start,
    "growth": growth,
    "fleet": fleet,
    "average": average,
}
"""What can be measured, in the order in which it is."""


@click.command()
@click.argument("names", metavar="[FIGURES]...", nargs=-1, type=click.Choice(list(FIGURES)))
@click.option("--quick", is_flag=True, help="Less of everything: about a minute, and rough.")
@click.option("--peer", "peer_url", metavar="URL", help="Another exporter on this machine, measured as ours.")
@click.option("--peer-pid", type=int, help="The process of that exporter.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the report goes: report.json and the plots. Without it build/bench.",
)
def main(
    names: Sequence[str], quick: bool, peer_url: str | None, peer_pid: int | None, output: Path | None
) -> None:
    """Measure the exporter against simulated gateways. Without FIGURES: all of them, which takes about 20 minutes.

    An exclamation mark stands where a figure falls short of its goal.
    """
    if (peer_url is None) != (peer_pid is None):
        raise click.UsageError("--peer and --peer-pid belong together")
    signal.signal(signal.SIGTERM, _end)
    allow_descriptors()
    about = machine()
    report = Report()
    click.echo(f"{about['cores']} cores, Python {about['python']}, load {about['load_before']}")
    click.echo(heading())
    extent = QUICK if quick else FULL
    if peer_url is not None and peer_pid is not None:
        peer(report, extent, peer_url, peer_pid)
    for name in names or FIGURES:
        FIGURES[name](report, extent)
    folder = output or ROOT / "build" / "bench"
    write(report, about, folder, [(plot.name, svg(plot)) for plot in report.plots])
    click.echo(f"The report is in {folder}")


def _end(*_: object) -> NoReturn:
    """SIGTERM: unwind, so that no program is left that was started to be measured."""
    raise SystemExit(1)


if __name__ == "__main__":
    main()
