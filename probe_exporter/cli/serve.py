"""``probe_exporter serve``: the exporter itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from probe_exporter.cli.options import Settings

if TYPE_CHECKING:
    from probe_exporter.fleet import Fleet
    from probe_exporter.telemetry import Telemetry

_log = logging.getLogger(__name__)

DESCRIPTORS_PER_GATEWAY = 4
"""Two connections to the gateway, one from Prometheus, one to spare."""


@click.command()
@click.option(
    "--web.listen-address",
    "listen_address",
    metavar="ADDR",
    help="Where to listen, host:port or :port; wins over web.listen_address of the configuration, which is :9871.",
)
@click.option(
    "--web.config.file",
    "web_config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="TLS and basic auth for this port, in the format of Prometheus' exporter-toolkit.",
)
@click.option(
    "--web.external-url",
    "external_url",
    metavar="URL",
    help="How Prometheus reaches this exporter; goes out at /sd.",
)
@click.option("--web.enable-lifecycle", "lifecycle", is_flag=True, help="Allow reloading by POST /-/reload.")
@click.pass_obj
def serve(
    settings: Settings,
    listen_address: str | None,
    web_config_file: Path | None,
    external_url: str | None,
    lifecycle: bool,
) -> None:
    """Serve /probe, /metrics, /sd and the pages. This is the default command.

    SIGHUP reads the configuration again, SIGTERM ends after the running probes have answered.
    """
    settings.start_logging("info")
    run(settings, listen_address, web_config_file, external_url, lifecycle)


def run(
    settings: Settings,
    listen_address: str | None = None,
    web_config_file: Path | None = None,
    external_url: str | None = None,
    lifecycle: bool = False,
) -> None:
    """Serve until a signal ends it. Raises ConfigurationError, and OSError where it cannot listen."""
    from probe_exporter.fleet import Fleet
    from probe_exporter.probe import Prober
    from probe_exporter.telemetry import Telemetry
    from probe_exporter.web import WebOptions, create_app
    from probe_exporter.web import serve as serve_web

    # A reload reads the same file again, whatever else has appeared beside it since.
    settings = replace(settings, config_file=settings.config_path())
    config = settings.load()
    _check_descriptors(len(config.gateways))
    telemetry = Telemetry()
    fleet = Fleet(config, telemetry)
    options = WebOptions(
        listen_address=listen_address or config.web.listen_address,
        metrics_path=config.web.metrics_path,
        external_url=external_url,
        enable_lifecycle=lifecycle,
        web_config_file=web_config_file,
        reload=reloader(settings, fleet, telemetry),
    )
    extra = {"config": config.path, "gateways": len(config.gateways), "address": options.listen_address}
    _log.info("serving", extra=extra)
    try:
        serve_web(create_app(fleet, Prober(telemetry), telemetry, options), options)
    finally:
        fleet.close()


def reloader(settings: Settings, fleet: Fleet, telemetry: Telemetry) -> Callable[[], str | None]:
    """What reads the configuration again, all or nothing; it gives the mistakes as text, None where there are none."""
    from probe_exporter.errors import ConfigurationError

    def reload() -> str | None:
        try:
            config = settings.load()
        except ConfigurationError as error:
            telemetry.config_last_reload_successful.set(0)
            for mistake in error.mistakes:
                _log.error("the configuration stays as it was: %s", mistake)
            return str(error)
        if config.web != fleet.config.web:
            _log.warning("web: what has changed here takes effect when the exporter starts anew")
        fleet.reload(config)
        _check_descriptors(len(config.gateways))
        _log.info("configuration read again", extra={"gateways": len(config.gateways)})
        return None

    return reload


def _check_descriptors(gateways: int) -> None:
    """Use as many file descriptors as the system allows, and warn where they are few for this many gateways."""
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
        warn_of_few_descriptors(soft, gateways)


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
