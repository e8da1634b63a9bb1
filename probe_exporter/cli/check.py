"""``probe_exporter check``: is the configuration usable, and do its gateways answer?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from probe_exporter.cli.endings import describe_failure
from probe_exporter.cli.options import Refusal, Settings, choose_targets, complete_target, duration_option
from probe_exporter.cli.progress import over_targets

if TYPE_CHECKING:
    from probe_exporter.config import Config


@click.command()
@click.argument("targets", metavar="[TARGET]...", nargs=-1, shell_complete=complete_target)
@click.option(
    "--connect", is_flag=True, help="Also try address and certificate of each gateway; nothing is sent."
)
@click.option(
    "--login",
    is_flag=True,
    help="With --connect: also try the password, and the key or password of TEDAPI, once.",
)
@duration_option(
    "--timeout",
    "10s",
    "With --connect: time limit for each address, and for a login. TEDAPI has its request_timeout.",
)
@click.pass_obj
def check(settings: Settings, targets: tuple[str, ...], connect: bool, login: bool, timeout: float) -> int:
    """Validate the configuration.

    Shows every mistake at once, each with file, line and place, and never a value. Without --connect nothing is
    connected to. A password file that cannot be read is a warning here, because the service may have permissions that
    you do not have; --login needs it. --connect tries all gateways or those named, and the exit code is 1 where one
    does not answer.
    """
    if (login or targets) and not connect:
        raise Refusal("--login and a TARGET go with --connect")
    config = report(settings, without_secrets=not login)
    return _connect(config, targets, login, timeout) if connect else 0


def report(settings: Settings, *, without_secrets: bool = True) -> Config:
    """Print the warnings and a summary. Raises ConfigurationError or Refusal where something is wrong."""
    config = settings.read(settings.config_path(), without_secrets=without_secrets)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(
        f"{config.origin}: OK: {_count(len(config.gateways), 'gateway')}, {_count(len(config.modules), 'module')}, "
        f"{_count(len(config.warnings), 'warning')}"
    )
    return config


def _connect(config: Config, targets: tuple[str, ...], login: bool, timeout: float) -> int:
    """Try gateways and print what was found. Return the exit code."""
    from probe_exporter.cli.connecting import try_connection, try_login

    names = choose_targets(config, targets, everything=not targets)

    def work(name: str) -> str:
        told = try_connection(config, name, timeout)
        return f"{told}; {try_login(config, name, timeout)}" if login else told

    failed = 0
    for name, outcome in over_targets(names, work, "Connecting"):
        if not isinstance(outcome, Exception):
            click.echo(f"{name}: {outcome}")
            continue
        failed += 1
        click.echo(f"{name}: {describe_failure(outcome)}", err=True)
    if len(names) > 1:
        click.echo(f"{len(names)} gateways: {len(names) - failed} answered, {failed} failed", err=True)
    return 1 if failed else 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
