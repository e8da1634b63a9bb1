"""``probe_exporter simulate``: gateways that are not there, and a configuration that fits them."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from probe_exporter.cli.options import Refusal, Settings, duration_option

if TYPE_CHECKING:
    from probe_exporter.simulator import SimulatedGateway, System

PROFILES: Final = ("pw2", "pwplus", "pw3", "legacy")
"""The profiles of a living site, in the order in which the scenario ``mixed`` deals them out."""


@click.command()
@click.option(
    "--gateways",
    type=click.IntRange(1, 10_000),
    default=3,
    show_default=True,
    help="How many; they are called site-1, site-2 and so on.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default=True,
    help="The port of the first one, the others follow; 0 takes any that are free.",
)
@click.option(
    "--scenario",
    metavar="NAME|PATH",
    default="mixed",
    show_default=True,
    help="pw2, pwplus, pw3, legacy: sites of that kind, alive; mixed: each in turn; outage: as mixed, without the "
    "grid; or the path of a file that record wrote, or of a folder of payloads.",
)
@click.option(
    "--fault",
    "faults",
    metavar="[SITE:]KIND[@PATH]",
    multiple=True,
    help="What goes wrong, at one site or all, at one path below /api/ or all, such as site-2:hang@meters/*; may be "
    "given again. A KIND that does not exist shows those that do.",
)
@duration_option("--latency", "20ms", "How long a gateway thinks about every answer.")
@click.option("--batteries", type=click.IntRange(1, 100), default=1, show_default=True, help="Of every living site.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed gives other houses and weather.")
@click.option(
    "--write",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the configuration; without it, into a folder that goes when the simulation ends.",
)
@click.option("--serve", "serving", is_flag=True, help="Start the exporter as well.")
@click.option(
    "--web.listen-address", "listen_address", metavar="ADDR", default=":9871", show_default=True, help="For --serve."
)
@click.pass_obj
def simulate(
    settings: Settings,
    gateways: int,
    port: int,
    scenario: str,
    faults: tuple[str, ...],
    latency: float,
    batteries: int,
    seed: int,
    write: Path | None,
    serving: bool,
    listen_address: str,
) -> None:
    """Simulate gateways on this machine, over real TLS, until Ctrl-C.

    Prints where the configuration that fits them was written, and what to run. Nothing leaves the machine.
    """
    from probe_exporter.simulator import SimulatedGateway
    from probe_exporter.simulator.loop import LoopThread

    settings.start_logging("warning")
    with ExitStack() as stack:
        loop = stack.enter_context(LoopThread())
        sites: dict[str, SimulatedGateway] = {}
        for number in range(gateways):
            system = _system(scenario, number, seed, batteries)
            gateway = SimulatedGateway(system, port=port + number if port else 0, latency=latency, loop=loop)
            _start(gateway)
            stack.callback(gateway.close)
            sites[f"site-{number + 1}"] = gateway
        for fault in faults:
            _break(sites, fault)
        path = write or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simulated-"))) / "gateways.yaml"
        _write(path, configuration(sites))
        click.echo(_welcome(sites, path, listen_address if serving else None))
        if serving:
            _serve(settings, path, listen_address)
        else:
            _wait()


def _start(gateway: SimulatedGateway) -> None:
    try:
        gateway.start()
    except OSError as error:
        words = error.strerror or type(error).__name__
        raise Refusal(f"cannot listen on {gateway.address}: {words}; choose another --port") from error


def _system(scenario: str, number: int, seed: int, batteries: int) -> System:
    """What stands behind gateway ``number``. Raises Refusal for a scenario that does not exist."""
    from probe_exporter.simulator import LivingSite

    path = Path(scenario)
    if scenario in (*PROFILES, "mixed", "outage"):
        profile = scenario if scenario in PROFILES else PROFILES[number % len(PROFILES)]
        site = LivingSite(seed=seed + number, batteries=batteries, profile=profile)
        if scenario == "outage":
            site.outage()
        return site
    if not path.exists():
        raise Refusal(f"no such scenario: give {', '.join(PROFILES)}, mixed, outage, or the path of a recording")
    return _recorded(path)


def _recorded(path: Path) -> System:
    import json

    from probe_exporter.simulator import RecordedSystem

    try:
        if path.is_dir():
            return RecordedSystem.from_folder(path)
        return RecordedSystem.from_record(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{path}: this is no recording") from error


def _break(sites: dict[str, SimulatedGateway], text: str) -> None:
    """Put a fault in force. Raises Refusal for one that cannot be."""
    site, colon, rest = text.rpartition(":")
    kind, _, endpoint = rest.partition("@")
    if colon and site not in sites:
        raise Refusal(f"--fault: no such site; there are {', '.join(sites)}")
    for gateway in [sites[site]] if colon else list(sites.values()):
        try:
            gateway.faults.add(kind, endpoint=endpoint or "*")
        except ValueError as error:
            raise Refusal(f"--fault: {error}") from error


def configuration(sites: dict[str, SimulatedGateway]) -> str:
    """The configuration file that fits these gateways."""
    import yaml

    gateways = {
        name: {
            "gateway_address": site.address,
            "login_password": site.password,
            "tls_fingerprint": f"sha256:{site.certificate.sha256}",
            "labels": {"fleet": "simulated"},
        }
        for name, site in sites.items()
    }
    text: str = yaml.safe_dump({"gateways": gateways}, sort_keys=False)
    return text


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner reads, as a real configuration should be."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _welcome(sites: dict[str, SimulatedGateway], path: Path, listen_address: str | None) -> str:
    lines = [f"{len(sites)} simulated gateways; their configuration is {path}", *_shown(sites), ""]
    first = next(iter(sites))
    if listen_address is None:
        program = f"probe_exporter --config.file={path}"
        lines += ["In another terminal:", f"  {program} probe {first}", f"  {program} serve"]
    else:
        host, _, port = listen_address.rpartition(":")
        url = f"http://{host or 'localhost'}:{port}"
        lines += [
            f"Open   {url}/",
            f"Probe  curl '{url}/probe?target={first}'",
            f"Own    curl {url}/metrics",
            f"Find   curl {url}/sd          (what Prometheus discovers)",
        ]
    return "\n".join([*lines, "", "Ctrl-C ends it."])


def _shown(sites: dict[str, SimulatedGateway], limit: int = 10) -> Sequence[str]:
    shown = [f"  {name:<8} {site.address}" for name, site in list(sites.items())[:limit]]
    return shown if len(sites) <= limit else [*shown, f"  … and {len(sites) - limit} more"]


def _serve(settings: Settings, path: Path, listen_address: str) -> None:
    from dataclasses import replace

    from probe_exporter.cli import serve

    serve.run(replace(settings, config_file=path), listen_address)


def _wait() -> None:
    """Until SIGINT or SIGTERM."""
    ending = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    signal.sigwait(ending)
