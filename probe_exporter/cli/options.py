"""What several commands share: the settings of the command line, the configuration they lead to, and the targets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from probe_exporter.config import Config

Command = TypeVar("Command", bound="Callable[..., object]")

LEVELS: Final = ("debug", "info", "warning", "error")
STYLES: Final = ("text", "logfmt", "json")

LONGEST_PATIENCE: Final = 86400.0
"""Seconds that a person may ask to wait: polling overflows at 24 days."""


class Refusal(click.ClickException):
    """The command line or the configuration is wrong: one or more lines, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print the lines to standard error."""
        click.echo(self.message, err=True, file=file)


def duration_option(name: str, default: str | None, description: str) -> Callable[[Command], Command]:
    """An option that takes a Go duration (``1m20s``) or a number of seconds, and gives seconds."""
    return click.option(
        name,
        metavar="DURATION",
        default=default,
        show_default=default is not None,
        callback=_seconds,
        help=description,
    )


def _seconds(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    from probe_exporter.durations import parse_duration

    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = -1.0
    if seconds < 0.0:
        raise click.BadParameter(
            "this is no duration; write 10s, 1m20s or a number of seconds", ctx, parameter
        )
    if seconds > LONGEST_PATIENCE:
        raise click.BadParameter("this is too long; write 24h or less", ctx, parameter)
    return seconds


@dataclass(frozen=True, slots=True)
class Settings:
    """The options in front of the command. ``level`` is None where none was asked for."""

    config_file: Path | None
    level: str | None
    style: str

    def start_logging(self, level: str) -> None:
        """Log to standard error, from the level that was asked for or else from ``level``."""
        from probe_exporter.cli import logs

        logs.configure(self.level or level, self.style)

    def config_path(self) -> Path:
        """The configuration file in use. Raises Refusal where there is none."""
        from probe_exporter.config import find_config

        path = self.config_file or find_config()
        if path is None:
            raise Refusal(
                "no configuration file: neither probe_exporter.yaml nor powerwall_exporter.yaml is in the current "
                "directory, the directory of the program or /etc/probe_exporter; name one with --config.file=FILE"
            )
        return path

    def load(self) -> Config:
        """The configuration, its warnings logged. Raises ConfigurationError or Refusal."""
        from probe_exporter.cli import logs
        from probe_exporter.config import load_config

        config = load_config(self.config_path())
        logs.warn_about(config)
        return config


def with_targets(command: Command) -> Command:
    """Give a command ``[TARGET]… [--all]``; `choose_targets` makes names of them."""
    command = click.option("--all", "everything", is_flag=True, help="Every configured gateway.")(command)
    return click.argument("targets", metavar="[TARGET]...", nargs=-1, shell_complete=complete_target)(command)


def complete_target(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The configured names that begin so; none where the configuration cannot be read."""
    from probe_exporter.config import load_config
    from probe_exporter.errors import ProbeExporterError

    options = ctx.parent.params if ctx.parent is not None else {}
    try:
        config = load_config(Settings(options.get("config_file"), None, "text").config_path())
    except (ProbeExporterError, Refusal):
        return []
    return [name for name in config.gateways if name.startswith(incomplete)]


def choose_targets(config: Config, targets: tuple[str, ...], everything: bool) -> list[str]:
    """The names of the gateways that were asked for, each once. Raises Refusal where that is not clear."""
    names = list(config.gateways)
    if everything and targets:
        raise Refusal("give targets or --all, not both")
    if everything or (not targets and len(names) == 1):
        return names
    if not targets:
        raise Refusal(f"which gateway? Give --all or one of: {', '.join(names)}")
    return list(dict.fromkeys(_find(config, target) for target in targets))


def _find(config: Config, target: str) -> str:
    """The name of the gateway with this name or address."""
    if target in config.gateways:
        return target
    for name, gateway in config.gateways.items():
        if any(target == address.text for address in gateway.addresses):
            return name
    known = ", ".join(config.gateways)
    raise Refusal(f"{config.path}: there is no gateway of that name or address; there are: {known}")
