"""``probe_exporter probe``: one probe of one, several or all gateways, printed to standard output."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import click

from probe_exporter.cli.options import Settings, check_module, choose_targets, duration_option, with_targets
from probe_exporter.cli.progress import over_targets

if TYPE_CHECKING:
    from probe_exporter.config import Config
    from probe_exporter.probe import ProbeResult

_FORGETFUL = (
    "No {} is configured, so the refusal is not remembered: each run is another login, and a few bad ones lock the "
    "owner out."
)


@click.command()
@with_targets
@click.option("--module", metavar="M", help="The module to probe with. Default: the gateway's own.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "openmetrics", "json", "table"]),
    help="Default: table on a terminal, else text. text and openmetrics are the formats of Prometheus; there a label "
    "target distinguishes several gateways.",
)
@duration_option(
    "--timeout", None, "Time limit of each probe, such as 10s. Default: the timeout of the module."
)
@click.pass_obj
def probe(
    settings: Settings,
    targets: tuple[str, ...],
    everything: bool,
    module: str | None,
    style: str | None,
    timeout: float | None,
) -> int:
    """Probe gateways once and print their metrics.

    A TARGET is a configured name or address; without one, the only configured gateway. The exit code is 0 when every
    target answered and 1 when one did not.
    """
    settings.start_logging("warning")
    if settings.level is None:
        # Failures are reported below, one line for each target.
        logging.getLogger("probe_exporter.probe").setLevel(logging.ERROR)
    started = time.monotonic()
    config = settings.load()
    check_module(config, module)
    results = _probe(config, choose_targets(config, targets, everything), module, timeout)
    click.echo(_rendered(results, style or ("table" if sys.stdout.isatty() else "text")), nl=False)
    for result in results:
        if not result.success:
            click.echo(f"{result.error} ({result.reason})", err=True)
    if config.state_directory is None and any(result.reason == "auth" for result in results):
        setting = "STATE_DIRECTORY" if config.path is None else "state_directory"
        click.echo(_FORGETFUL.format(setting), err=True)
    if len(results) > 1:
        click.echo(summary(results, time.monotonic() - started), err=True)
    return 0 if all(result.success for result in results) else 1


def _probe(config: Config, names: list[str], module: str | None, timeout: float | None) -> list[ProbeResult]:
    """The results, in the order of the targets. Raises UnknownModuleError."""
    from probe_exporter.answer import answer
    from probe_exporter.fleet import Fleet
    from probe_exporter.probe import Prober
    from probe_exporter.telemetry import Telemetry

    telemetry = Telemetry()
    fleet = Fleet(config, telemetry, one_off=True)
    prober = Prober(telemetry)
    modules = {name: fleet.find(name).module(module) for name in names}

    def work(name: str) -> ProbeResult:
        patience = modules[name].timeout if timeout is None else timeout
        moment, site = time.time(), fleet.find(name)
        result = prober.probe(site, modules[name], time.monotonic() + patience)
        return answer(result, site.config, modules[name], moment)

    results: list[ProbeResult] = []
    try:
        for _, outcome in over_targets(names, work, "Probing"):
            if isinstance(outcome, Exception):
                raise outcome
            results.append(outcome)
    finally:
        fleet.close()
    return results


def summary(results: list[ProbeResult], seconds: float) -> str:
    """Return a summary of many targets in a line: how many answered, and why the others did not."""
    reasons = Counter(result.reason or "unknown" for result in results if not result.success)
    words = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    failed = sum(reasons.values())
    failures = f"{failed} failed ({words})" if failed else "none failed"
    return f"{len(results)} gateways: {len(results) - failed} answered, {failures}, in {seconds:.1f} s"


def _rendered(results: list[ProbeResult], style: str) -> str:
    from probe_exporter.cli import rendering

    if style == "json":
        return rendering.as_json(results)
    if style == "table":
        return rendering.as_table(results)
    return rendering.as_exposition(results, openmetrics=style == "openmetrics")
