"""``probe_exporter serve``: the exporter itself."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from probe_exporter.cli.options import FilePath, Refusal, Settings, from_environment

if TYPE_CHECKING:
    from probe_exporter.config import Config
    from probe_exporter.web import Application, Server
    from probe_exporter.web.options import ExternalUrl, WebOptions

T = TypeVar("T")

_log = logging.getLogger(__name__)

DESCRIPTORS_PER_GATEWAY = 4
"""Two connections to the gateway, one from Prometheus, one spare."""


class Unavailable(Refusal):
    """The port is not available now: exit code 1, as a later start may succeed."""

    exit_code = 1


def _external_url(ctx: click.Context, parameter: click.Parameter, text: str | None) -> ExternalUrl | None:
    from probe_exporter.web.options import ExternalUrl

    return None if text is None else _checked(ctx, parameter, ExternalUrl.parse, text)


def _route_prefix(ctx: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    from probe_exporter.web.options import path_prefix

    return None if text is None else _checked(ctx, parameter, path_prefix, text)


def _checked(ctx: click.Context, parameter: click.Parameter, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, parameter) from error


@from_environment
@click.command()
@click.option(
    "--web.listen-address",
    "listen_addresses",
    metavar="ADDR",
    multiple=True,
    help="Address to listen on, host:port or :port; may be repeated. Takes precedence over "
    "web.listen_address of the configuration, which is :9871.",
)
@click.option(
    "--web.systemd-socket",
    "systemd_socket",
    is_flag=True,
    help="Listen on the sockets of a systemd .socket unit instead.",
)
@click.option(
    "--web.config.file",
    "web_config_file",
    metavar="FILE",
    type=FilePath(),
    help="TLS, basic auth and headers of this port, in the format of Prometheus' exporter-toolkit.",
)
@click.option(
    "--web.external-url",
    "external_url",
    metavar="URL",
    callback=_external_url,
    help="URL by which Prometheus and browsers reach this exporter, with the path of a proxy. For /sd and in links.",
)
@click.option(
    "--web.route-prefix",
    "route_prefix",
    metavar="PATH",
    callback=_route_prefix,
    help="The path below which requests arrive. Default: that of --web.external-url; / for a proxy that strips it.",
)
@click.option(
    "--web.enable-lifecycle",
    "lifecycle",
    is_flag=True,
    help="Allow reloading by POST /-/reload.",
)
@click.option(
    "--config.enable-auto-reload",
    "auto_reload",
    is_flag=True,
    help="Reload when the files of the configuration have changed, passwords and certificates included.",
)
@click.option(
    "--config.check",
    "check_only",
    is_flag=True,
    help="Validate the configuration and the file of --web.config.file, and exit.",
)
@click.pass_obj
def serve(
    settings: Settings,
    listen_addresses: tuple[str, ...],
    systemd_socket: bool,
    web_config_file: Path | None,
    external_url: ExternalUrl | None,
    route_prefix: str | None,
    lifecycle: bool,
    auto_reload: bool,
    check_only: bool,
) -> None:
    """Serve /probe, /metrics, /sd and the pages. This is the default command.

    SIGHUP reads the configuration again, SIGTERM ends after the running probes have answered.
    """
    from probe_exporter.web.options import WebOptions

    if systemd_socket and listen_addresses:
        raise Refusal("give --web.systemd-socket or --web.listen-address, not both")
    settings.start_logging("info")
    if check_only:
        _check(settings, web_config_file)
        return
    options = WebOptions(
        listen_addresses=listen_addresses,
        systemd_socket=systemd_socket,
        external_url=external_url,
        route_prefix=route_prefix,
        enable_lifecycle=lifecycle,
        web_config_file=web_config_file,
    )
    run(settings, options, auto_reload=auto_reload)


def _check(settings: Settings, web_config_file: Path | None) -> None:
    """Validate everything that a start would read. Raises ConfigurationError or Refusal."""
    from probe_exporter.cli.check import report
    from probe_exporter.web.webconfig import WebConfigFile

    report(settings)
    if web_config_file is not None:
        WebConfigFile(web_config_file).read()


def run(
    settings: Settings,
    options: WebOptions,
    *,
    auto_reload: bool = False,
    in_rounds: bool = False,
    welcome: str | None = None,
) -> None:
    """Serve until a signal ends it; what ``options`` leave open comes from the configuration.

    ``in_rounds`` probes the gateways without being asked; ``welcome`` is printed once the port is open. Raises
    ConfigurationError, and Unavailable if the port is not available now.
    """
    from probe_exporter.cli.allocator import use_one_arena
    from probe_exporter.cli.reloading import FileWatch, Reloader
    from probe_exporter.cli.rounds import probe_in_rounds
    from probe_exporter.config.sources import Files
    from probe_exporter.files import Saver
    from probe_exporter.fleet import Fleet
    from probe_exporter.probe import Prober
    from probe_exporter.telemetry import Telemetry
    from probe_exporter.web import create_app, leave

    use_one_arena()
    # Python opens a file for it at the first connection, and by then no file descriptor may be left.
    codecs.lookup("idna")
    files = Files()
    config = settings.load(files=files)
    _check_descriptors(config)
    telemetry = Telemetry()
    fleet = Fleet(config, telemetry, saver=Saver())
    reloader = Reloader(settings, fleet, telemetry, files)

    def reload() -> Callable[[], None]:
        adopt = reloader.read()
        return lambda: _check_descriptors(adopt())

    watch = FileWatch(files)
    options = replace(
        options,
        listen_addresses=options.listen_addresses or (config.web.listen_address,),
        metrics_path=config.web.metrics_path,
        reload=reload,
    )
    try:
        application = create_app(fleet, Prober(telemetry), telemetry, options)
        server = _open(application, options)
        extra = {
            "config": config.origin,
            "gateways": len(config.gateways),
            "address": " ".join(server.addresses),
        }
        _log.info("serving", extra=extra)
        if welcome is not None:
            click.echo(welcome)
        if auto_reload:
            watch.start()
        server.run(partial(probe_in_rounds, fleet, application.runner) if in_rounds else None)
    finally:
        watch.end()
        fleet.close()
    _log.info("stopped")
    leave(server)


def _open(application: Application, options: WebOptions) -> Server:
    from probe_exporter.web import Server

    try:
        return Server(application, options)
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise Unavailable(
            f"cannot listen on {error.filename}: {words}; choose another address with --web.listen-address"
        ) from error


def _check_descriptors(config: Config) -> None:
    """Use as many file descriptors as the system allows, and warn where they are few for the gateways."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError) as error:  # macOS refuses an unlimited one
            _log.debug("the limit of file descriptors stays %d: %s", soft, error)
    if soft != resource.RLIM_INFINITY:
        warn_of_few_descriptors(soft, len(config.gateways))


def warn_of_few_descriptors(limit: int, gateways: int) -> None:
    """Log a warning where ``limit`` file descriptors are few for this many gateways."""
    needed = DESCRIPTORS_PER_GATEWAY * gateways
    if limit < needed:
        _log.warning(
            "%d file descriptors are few for %d gateways; allow %d (ulimit -n, or LimitNOFILE= of the unit)",
            limit,
            gateways,
            needed,
        )
