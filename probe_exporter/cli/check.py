"""``probe_exporter check``: is the configuration usable?"""

from __future__ import annotations

import click

from probe_exporter.cli.options import Settings


@click.command()
@click.pass_obj
def check(settings: Settings) -> None:
    """Validate the configuration.

    Shows every mistake in one go, each with file, line and place, and never a value. It makes no connection. A
    password file that cannot be read is a warning here, as the service may read it where you may not.
    """
    report(settings)


def report(settings: Settings) -> None:
    """Print the warnings and the size of the configuration. Raises ConfigurationError or Refusal."""
    config = settings.read(settings.config_path(), without_secrets=True)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(
        f"{config.origin}: OK: {_count(len(config.gateways), 'gateway')}, {_count(len(config.modules), 'module')}, "
        f"{_count(len(config.warnings), 'warning')}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
