"""``probe_exporter check``: is the configuration usable?"""

from __future__ import annotations

import click

from probe_exporter.cli.options import Settings


@click.command()
@click.pass_obj
def check(settings: Settings) -> None:
    """Validate the configuration.

    Shows every mistake in one go, each with file, line and place, and never a value. Nothing is connected to.
    """
    from probe_exporter.config import load_config

    config = load_config(settings.config_path())
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(
        f"{config.path}: OK: {_count(len(config.gateways), 'gateway')}, {_count(len(config.modules), 'module')}, "
        f"{_count(len(config.warnings), 'warning')}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
