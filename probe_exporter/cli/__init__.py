"""The command line: one module for each group of commands.

Importing this package must stay cheap, so that ``--help`` answers at once: a command's module is imported when the
command is named, and the modules that it uses are imported when it runs.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click

from probe_exporter import __version__
from probe_exporter.cli.options import LEVELS, STYLES, FilePath, Settings, from_environment, take_environment

COMMANDS: Final = {
    "serve": "serve",
    "probe": "probe",
    "fetchcert": "fetchcert",
    "check": "check",
    "find": "find",
    "metrics": "catalogue",
    "tariff": "tariff",
    "record": "record",
    "replay": "record",
    "simulate": "simulate",
}
"""The module of this package that holds each command, in the order of ``--help``."""


class LazyGroup(click.Group):
    """The commands of `COMMANDS`; without one, ``serve``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, its module imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"probe_exporter.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command as click does; for an unknown name, suggest the nearest one."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            near = _nearest(args[0], COMMANDS)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an unknown option may be a misspelt option of the group."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            known = {*_options(self, ctx), *(error.possibilities or ())}
            near = _nearest(error.option_name, known)
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=error.ctx) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments as click does, after `arranged`."""
        return super().parse_args(ctx, self.arranged(ctx, args))

    def arranged(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return the arguments with a command where none was named, and the group's options before the command."""
        own = _options(self, ctx)
        position = 0
        while position < len(args) and args[position].partition("=")[0] in own:
            name, equals, _ = args[position].partition("=")
            position += 2 if own[name] and not equals else 1
        before, rest = args[:position], args[position:]
        if not rest or rest[0].startswith("-"):
            if ctx.resilient_parsing:
                return args
            rest.insert(0, "fetchcert" if "--fetchcert" in before else "serve")
        command = self.get_command(ctx, rest[0])
        if command is None:
            return args
        moved, others = _sorted_out(rest[1:], own, _options(command, ctx))
        return [*before, *moved, rest[0], *others]


def _nearest(word: str, known: Iterable[str]) -> list[str]:
    """Return the words that are most like a misspelt one, the nearest first."""
    from difflib import get_close_matches

    return get_close_matches(word, list(known))


def _options(command: click.Command, ctx: click.Context) -> dict[str, bool]:
    """Return the options of a command, and for each whether a value follows it."""
    options = [option for option in command.get_params(ctx) if isinstance(option, click.Option)]
    return {name: not option.is_flag for option in options for name in option.opts}


def _sorted_out(
    args: list[str], group: dict[str, bool], command: dict[str, bool]
) -> tuple[list[str], list[str]]:
    """Return the arguments after a command that are options of the group, and the others."""
    moved: list[str] = []
    others: list[str] = []
    rest = iter(args)
    for argument in rest:
        if argument == "--":
            return moved, [*others, argument, *rest]
        name, equals, _ = argument.partition("=")
        is_moved = name in group and name not in command and name != "--fetchcert"
        chosen = moved if is_moved else others
        chosen.append(argument)
        if not equals and (group if is_moved else command).get(name, False):
            chosen.extend(islice(rest, 1))
    return moved, others


def _show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"probe_exporter {__version__} (Python {sys.version.split()[0]})")
        ctx.exit()


@from_environment
@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 all went well, 1 a target failed or the port is not available, 2 the command line or the "
    "configuration is wrong.",
)
@click.option(
    "--config.file",
    "config_file",
    metavar="FILE",
    type=FilePath(),
    help="The configuration file. Without it: probe_exporter.yaml, then powerwall_exporter.yaml, in the current "
    "directory, the directory of the program and /etc/probe_exporter.",
)
@click.option(
    "--log.level", "log_level", type=click.Choice(LEVELS), help="Lowest level that is logged. Default: info."
)
@click.option(
    "--log.style",
    "log_style",
    type=click.Choice(STYLES),
    default="logfmt",
    show_default=True,
    help="Format of log lines.",
)
@click.option(
    "--config.expand-environment-variables",
    "expand",
    is_flag=True,
    help="Replace ${NAME} in values of the configuration with environment variables.",
)
@click.option("--debug", is_flag=True, help="The same as --log.level debug.")
@click.option(
    "--fetchcert", is_flag=True, help="The same as probe_exporter fetchcert, for users of the Go exporter."
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(
    ctx: click.Context,
    config_file: Path | None,
    expand: bool,
    log_level: str | None,
    log_style: str,
    debug: bool,
    fetchcert: bool,
) -> None:
    """A Prometheus exporter for Tesla Powerwall gateways, many of them behind one /probe.

    Without a COMMAND it serves. The options here may stand before or after the COMMAND. Without a configuration file,
    POWERWALL_ADDRESS and POWERWALL_PASSWORD name a gateway.
    """
    if ctx.invoked_subcommand != "serve":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # only serve reloads; see __main__.py
    level = "debug" if debug else log_level
    ctx.obj = Settings(config_file, level, log_style, expand, take_environment())


def main() -> None:
    """The console script. Ends the process; an error is one line, never a traceback."""
    from probe_exporter.cli.endings import run

    run(cli)
