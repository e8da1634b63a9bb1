"""``probe_exporter simulate``: simulated gateways, and a configuration that fits them."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from probe_exporter.cli.options import FilePath, Refusal, Settings, duration_option
from probe_exporter.files import read_regular
from probe_exporter.tedapi.queries import extra_installed

if TYPE_CHECKING:
    from probe_exporter.simulator import Farm, SimulatedGateway, System
    from probe_exporter.simulator.profiles import ProfileName

_PORTS: Final = 65_536
_LARGEST_RECORD: Final = 32 << 20
_POWERWALL_3: Final = (4, 1, 2)
"""Packs of the gateways of the scenario pw3, in turn: a leader with two expansions and a follower, and smaller ones."""
VILLA: Final = "villa"
"""The scenario that is one home, and the name of that home."""
_NAMES: Final = ("home", "cabin", "workshop")
_SCENARIOS: Final[dict[str, tuple[ProfileName, ...]]] = {
    "mixed": ("pw2", "pwplus", "pw3"),
    "pw2": ("pw2",),
    "pwplus": ("pwplus",),
    "pw3": ("pw3",),
    "legacy": ("legacy",),
    "outage": ("pw2", "pwplus"),
    VILLA: ("pw2", "pwplus"),
}
"""The profiles of living sites that a scenario assigns in turn."""


@click.command()
@click.option(
    "--gateways",
    type=click.IntRange(1, 10_000),
    default=3,
    show_default=True,
    help="Number of gateways; their names are home, cabin, workshop, site-4 and so on.",
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
    help="mixed: living sites of several kinds; pw2, pwplus, pw3, legacy: of one kind, pw3 with TEDAPI where its "
    "extra is installed; outage: without the grid; "
    "villa: all gateways in one home, with a tariff that the batteries follow; or the path of a file that record "
    "wrote, or of a folder of payloads.",
)
@click.option(
    "--fault",
    "faults",
    metavar="[SITE:]KIND[@PATH]",
    multiple=True,
    help="A fault to simulate, at one site or all, at one path below /api/ or all, such as cabin:hang@meters/*; may be "
    "given again. A KIND that does not exist lists those that do. Of TEDAPI alone: "
    "tedapi_key_pending, tedapi_key_unknown, tedapi_busy, tedapi_gzip, tedapi_slow.",
)
@duration_option("--latency", "20ms", "Delay of every answer.")
@click.option(
    "--write",
    metavar="FILE",
    type=FilePath(dir_okay=False),
    help="File for the configuration. Default: a file in a temporary directory, which is removed at the end.",
)
@click.option(
    "--serve",
    "serving",
    is_flag=True,
    help="Start the exporter as well; it probes the gateways without being asked.",
)
@click.option(
    "--web.listen-address",
    "listen_address",
    metavar="ADDR",
    default=":9871",
    show_default=True,
    help="For --serve; the variables of the command serve are not read here.",
)
@click.pass_obj
def simulate(
    settings: Settings,
    gateways: int,
    port: int,
    scenario: str,
    faults: tuple[str, ...],
    latency: float,
    write: Path | None,
    serving: bool,
    listen_address: str,
) -> None:
    """Simulate gateways on this machine, over real TLS, until Ctrl-C.

    Prints where the configuration that fits them was written, and what to run. Nothing leaves the machine. The signal
    USR1 begins an outage of the grid at the living sites, and ends it.
    """
    settings.start_logging("warning")
    if write is not None and write.exists():
        raise Refusal(f"--write: {write} exists; choose another name")
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        farm = _farm(scenario, gateways, port, latency)
        stack.callback(farm.close)
        try:
            farm.start()
        except OSError as error:
            raise Refusal(
                f"cannot listen: {error.strerror or type(error).__name__}; choose another --port"
            ) from error
        for fault in faults:
            _break(farm.gateways, fault)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simulated-")))
        path = write or folder / "gateways.yaml"
        # Not the user's own state directory: what was remembered of simulated gateways is wrong when they start again.
        farm.write_config(path, state_directory=folder / "state", **_home_of(scenario))
        signal.signal(signal.SIGUSR1, lambda *_: _toggle_grid(farm.gateways))
        welcome = _welcome(farm.gateways, path, listen_address if serving else None)
        if serving:
            _serve(settings, path, listen_address, welcome)
        else:
            click.echo(welcome)
            _wait()


def _farm(scenario: str, gateways: int, port: int, latency: float) -> Farm:
    """The gateways, not started yet. Raises Refusal for a scenario that does not exist."""
    from probe_exporter.simulator import Farm

    if port + gateways > _PORTS:
        raise Refusal(f"--port: the last of {gateways} gateways would be above port 65535")
    systems = {gateway_name(index): _system(scenario, index) for index in range(gateways)}
    farm = Farm(systems, port=port, latency=latency)
    if extra_installed():
        _switch_tedapi_on(farm, living=scenario == "pw3")
    return farm


def _switch_tedapi_on(farm: Farm, *, living: bool) -> None:
    """Switch TEDAPI on: for living gateways where that is the scenario, for recorded ones whose recording has it."""
    from probe_exporter.simulator import LivingSite, RecordedSystem
    from probe_exporter.simulator.tedapi import LivingSource, Tedapi, recorded_source

    for gateway in farm.gateways.values():
        if living and isinstance(gateway.system, LivingSite):
            gateway.tedapi = Tedapi(LivingSource(gateway.system))
        elif isinstance(gateway.system, RecordedSystem):
            source = recorded_source(gateway.system.answers)
            gateway.tedapi = None if source is None else Tedapi(source)


def gateway_name(index: int) -> str:
    """The name of the gateway with an index from 0."""
    return _NAMES[index] if index < len(_NAMES) else f"site-{index + 1}"


def _system(scenario: str, index: int) -> System:
    """Return the system of the gateway with this index, from 0. Raises Refusal if the scenario does not exist."""
    from probe_exporter.simulator import LivingSite
    from probe_exporter.simulator.strategies import following, villa_tariff

    if scenario in _SCENARIOS:
        profiles = _SCENARIOS[scenario]
        site = LivingSite(
            seed=index + 1,
            batteries=_POWERWALL_3[index % len(_POWERWALL_3)] if scenario == "pw3" else 1 + index % 2,
            profile=profiles[index % len(profiles)],
            strategy=following(villa_tariff()) if scenario == VILLA else None,
        )
        if scenario == "outage":
            site.outage()
        return site
    path = Path(scenario)
    if not path.exists():
        raise Refusal(f"no such scenario: give {', '.join(_SCENARIOS)}, or the path of a recording")
    return _recorded(path)


def _home_of(scenario: str) -> dict[str, Any]:
    """Return the settings of the configuration for a scenario that is one home."""
    from probe_exporter.simulator.strategies import VILLA_TARIFF

    return {"home": VILLA, "tariff": VILLA_TARIFF} if scenario == VILLA else {}


def _toggle_grid(gateways: dict[str, SimulatedGateway]) -> None:
    """Begin an outage at all living sites, or end it."""
    from probe_exporter.simulator import LivingSite

    sites = [one.system for one in gateways.values() if isinstance(one.system, LivingSite)]
    out = not any(site.off_grid for site in sites)
    for site in sites:
        site.outage(out)


def _recorded(path: Path) -> System:
    from probe_exporter.simulator import RecordedSystem

    try:
        if path.is_dir():
            return RecordedSystem.from_folder(path)
        return RecordedSystem.from_record(json.loads(read_regular(path, _LARGEST_RECORD)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise Refusal(f"{path}: this is not a recording") from error


def _break(sites: dict[str, SimulatedGateway], text: str) -> None:
    """Put a fault in force. Raises Refusal where that is impossible."""
    site, colon, rest = text.rpartition(":")
    kind, _, endpoint = rest.partition("@")
    if colon and site not in sites:
        raise Refusal(f"--fault: no such site; there are {', '.join(sites)}")
    for gateway in [sites[site]] if colon else list(sites.values()):
        if kind.startswith("tedapi_"):
            _break_tedapi(gateway, kind)
            continue
        try:
            gateway.faults.add(kind, endpoint=endpoint or "*")
        except ValueError as error:
            raise Refusal(f"--fault: {error}") from error


def _break_tedapi(gateway: SimulatedGateway, kind: str) -> None:
    """Put a fault of TEDAPI in force. Raises Refusal where that is impossible."""
    if gateway.tedapi is None:
        raise Refusal("--fault: faults of TEDAPI need --scenario pw3 and the extra [tedapi]")
    try:
        gateway.tedapi.play(kind)
    except KeyError:
        from probe_exporter.simulator.tedapi import TEDAPI_FAULTS

        raise Refusal(f"--fault: of TEDAPI there are {', '.join(TEDAPI_FAULTS)}") from None


def _welcome(sites: dict[str, SimulatedGateway], path: Path, listen_address: str | None) -> str:
    gateways = "1 simulated gateway; its" if len(sites) == 1 else f"{len(sites)} simulated gateways; their"
    lines = [f"{gateways} configuration is {path}", *_shown(sites), ""]
    first = next(iter(sites))
    if listen_address is None:
        program = f"probe_exporter --config.file={path}"
        lines += ["In another terminal:", f"  {program} probe {first}", f"  {program} serve"]
    else:
        host, _, port = listen_address.rpartition(":")
        url = f"http://{host or 'localhost'}:{port}"
        lines += [
            f"In a browser:         {url}/",
            f"A gateway's metrics:  curl '{url}/probe?target={first}'",
            f"The exporter's own:   curl {url}/metrics",
            f"For Prometheus:       curl {url}/sd",
        ]
    return "\n".join([*lines, "", "Ctrl-C ends it."])


def _shown(sites: dict[str, SimulatedGateway], limit: int = 10) -> Sequence[str]:
    shown = [f"  {name:<8} {site.address}" for name, site in list(sites.items())[:limit]]
    return shown if len(sites) <= limit else [*shown, f"  … and {len(sites) - limit} more"]


def _serve(settings: Settings, path: Path, listen_address: str, welcome: str) -> None:
    from dataclasses import replace

    from probe_exporter.cli import serve
    from probe_exporter.web import WebOptions

    options = WebOptions(listen_addresses=(listen_address,))
    serve.run(replace(settings, config_file=path), options, in_rounds=True, welcome=welcome)


def _wait() -> None:
    """Until Ctrl-C; SIGTERM ends the process by `_end`."""
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600.0)


def _end(*_: object) -> NoReturn:
    """End on SIGTERM by an exception, so that the gateways are closed and the temporary directory is removed."""
    raise SystemExit(0)
