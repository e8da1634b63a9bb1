"""The parts that several commands share: settings of the command line, the configuration, and the targets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from probe_exporter.natural import natural

if TYPE_CHECKING:
    from collections.abc import Callable

    from probe_exporter.config import Config
    from probe_exporter.config.sources import Files

PREFIX: Final = "PROBE_EXPORTER_"
_PASSWORDS: Final = ("POWERWALL_PASSWORD", "POWERWALL_TEDAPI_GATEWAY_PASSWORD")
_FROM_THE_COMMAND_LINE_ALONE: Final = ("--help", "--version", "--fetchcert")

AnyCommand = TypeVar("AnyCommand", bound=click.Command)
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


class FilePath(click.Path):
    """The path of a file. An empty one is refused: as a Path it would be the current directory."""

    def __init__(self, *, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Fails for an empty one."""
        if value == "":
            self.fail("it is empty; name a file", param, ctx)
        return super().convert(value, param, ctx)


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
            "this is not a duration; write 10s, 1m20s or a number of seconds", ctx, parameter
        )
    if seconds > LONGEST_PATIENCE:
        raise click.BadParameter("this is too long; write 24h or less", ctx, parameter)
    return seconds


def from_environment(command: AnyCommand) -> AnyCommand:
    """Let the options of a command come from ``PROBE_EXPORTER_…`` as well: one explicit name for each option.

    (click's own prefix would give a default command none, and would let the environment choose a command.)
    """
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.opts[0] not in _FROM_THE_COMMAND_LINE_ALONE:
            parameter.envvar = variable_of(parameter.opts[0])
            parameter.show_envvar = True
    return command


def take_environment() -> dict[str, str]:
    """Return a copy of the environment, and take the passwords out of the process' own.

    Neither a program that it starts nor a dump of ``os.environ`` then has them.
    """
    copy = dict(os.environ)
    for name in _PASSWORDS:
        os.environ.pop(name, None)
    return copy


def variable_of(option: str) -> str:
    """Return the variable of an option: ``PROBE_EXPORTER_LOG_LEVEL`` of ``--log.level``."""
    return PREFIX + option.removeprefix("--").replace(".", "_").replace("-", "_").upper()


@dataclass(frozen=True, slots=True)
class Settings:
    """The options in front of the command, and the environment as it was at the start.

    ``level`` is None if the user gave none; ``expand`` replaces ``${NAME}`` in the configuration with variables.
    """

    config_file: Path | None
    level: str | None
    style: str
    expand: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def start_logging(self, level: str) -> None:
        """Log to standard error, from the level that was asked for or else from ``level``."""
        from probe_exporter.cli import logs

        logs.configure(self.level or level, self.style)

    def config_path(self) -> Path | None:
        """Return the configuration file in use, None if the environment defines the gateway. Raises Refusal."""
        from probe_exporter.config import find_config
        from probe_exporter.config.environment import ADDRESS

        path = self.config_file or find_config()
        if path is not None and self.environment.get(ADDRESS):
            raise Refusal(
                f"{path} and {ADDRESS} both define gateways; unset the variable, or move the file away"
            )
        if path is None and not self.environment.get(ADDRESS):
            raise Refusal(
                "no configuration file: neither probe_exporter.yaml nor powerwall_exporter.yaml is in the current "
                "directory, the directory of the program or /etc/probe_exporter; name one with --config.file=FILE, "
                f"or set {ADDRESS} and POWERWALL_PASSWORD"
            )
        return path

    def load(self, *, without_secrets: bool = False, files: Files | None = None) -> Config:
        """Return the configuration, its warnings logged. Raises ConfigurationError or Refusal."""
        from probe_exporter.cli import logs

        config = self.read(self.config_path(), without_secrets=without_secrets, files=files)
        logs.warn_about(config.warnings)
        return config

    def read(
        self,
        path: Path | None,
        *,
        without_secrets: bool = False,
        previous: Config | None = None,
        files: Files | None = None,
    ) -> Config:
        """Return the configuration at a path, or of the environment. Raises ConfigurationError."""
        from probe_exporter.config import load_config

        return load_config(
            path,
            environment=self.environment,
            expand=self.expand,
            without_secrets=without_secrets,
            previous=previous,
            files=files,
        )


def with_targets(command: Command) -> Command:
    """Give a command ``[TARGET]… [--all]``; `choose_targets` makes names of them."""
    command = click.option("--all", "everything", is_flag=True, help="Every configured gateway.")(command)
    return click.argument("targets", metavar="[TARGET]...", nargs=-1, shell_complete=complete_target)(command)


def complete_target(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the configured names with this beginning; none where the configuration cannot be read."""
    from probe_exporter.errors import ProbeExporterError

    options = ctx.parent.params if ctx.parent is not None else {}
    settings = Settings(options.get("config_file"), None, "text", environment=dict(os.environ))
    try:
        config = settings.read(settings.config_path(), without_secrets=True)
    except (ProbeExporterError, Refusal):
        return []
    return [name for name in config.gateways if name.startswith(incomplete)]


def choose_targets(config: Config, targets: tuple[str, ...], everything: bool) -> list[str]:
    """Return the names of the gateways that were asked for, each once. Raises Refusal where that is not clear."""
    from probe_exporter.config.values import some_of

    names = list(config.gateways)
    if everything and targets:
        raise Refusal("give targets or --all, not both")
    if everything or (not targets and len(names) == 1):
        return sorted(names, key=natural)
    if not targets:
        raise Refusal(f"which gateway? Give --all or one of: {some_of(names)}")
    return list(dict.fromkeys(_find(config, target) for target in targets))


def _find(config: Config, target: str) -> str:
    """Return the name of the gateway with this name or address. Raises Refusal."""
    from probe_exporter.config.values import some_of

    if target in config.gateways:
        return target
    for name, gateway in config.gateways.items():
        if any(target == address.text for address in gateway.addresses):
            return name
    raise Refusal(
        f"{config.origin}: there is no gateway with the name or address {target!r}; "
        f"there are: {some_of(config.gateways, near=target)}"
    )


def check_module(config: Config, module: str | None) -> None:
    """Raise Refusal where no module of that name is configured."""
    from probe_exporter.config.values import some_of

    if module is not None and module not in config.modules:
        raise Refusal(
            f"{config.origin}: there is no module {module!r}; there are: {some_of(config.modules, near=module)}"
        )
