"""The command line: one module a group of commands.

Importing this package must stay cheap, so that ``--help`` answers at once: a command's module is imported when the
command is named, and what the command works with when it runs.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from probe_exporter import __version__
from probe_exporter.cli.options import LEVELS, STYLES, Settings

COMMANDS: Final = {
    "serve": "serve",
    "probe": "probe",
    "fetchcert": "fetchcert",
    "check": "check",
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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with the default command put where no command was named."""
        return super().parse_args(ctx, self.with_command(ctx, args))

    def with_command(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Walk over the options of the group: the first other word is the command or an option of the default one."""
        parameters = {name: option for option in self.get_params(ctx) for name in option.opts}
        default = "serve"
        position = 0
        while position < len(args):
            name, equals, _ = args[position].partition("=")
            if not name.startswith("-"):
                return args
            option = parameters.get(name)
            if option is None:
                break
            default = "fetchcert" if name == "--fetchcert" else default
            takes_value = isinstance(option, click.Option) and not option.is_flag
            position += 2 if takes_value and not equals else 1
        if not ctx.resilient_parsing:
            args = [*args[:position], default, *args[position:]]
        return args


def _show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"probe_exporter {__version__} (Python {sys.version.split()[0]})")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 all went well, 1 a target failed or the port is not to be had now, 2 the command line or the "
    "configuration is wrong.",
)
@click.option(
    "--config.file",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The configuration file. Without it: probe_exporter.yaml, then powerwall_exporter.yaml, in the current "
    "directory, the directory of the program and /etc/probe_exporter.",
)
@click.option(
    "--log.level", "log_level", type=click.Choice(LEVELS), help="Log this and worse. Default: info."
)
@click.option(
    "--log.style",
    "log_style",
    type=click.Choice(STYLES),
    default="logfmt",
    show_default=True,
    help="How a log line looks.",
)
@click.option("--debug", is_flag=True, help="The same as --log.level debug.")
@click.option("--fetchcert", is_flag=True, help="The Go exporter's way to say: probe_exporter fetchcert.")
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
    log_level: str | None,
    log_style: str,
    debug: bool,
    fetchcert: bool,
) -> None:
    """A Prometheus exporter for Tesla Powerwall gateways, many of them behind one /probe.

    Without a COMMAND it serves.
    """
    if ctx.invoked_subcommand != "serve":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # only serve reloads; see __main__.py
    ctx.obj = Settings(config_file, "debug" if debug else log_level, log_style)


def main() -> None:
    """The console script. Ends the process; an error is one line, never a traceback."""
    from probe_exporter.cli.endings import run

    run(cli)
