"""The command line reference, docs/cli.md: written from the commands themselves.

``python -m probe_exporter.cli.reference`` prints it; ``make docs`` saves it, and a test holds the saved one current.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from probe_exporter.cli import cli

_PROGRAM = "probe_exporter"
_WIDTH = 100


def markdown() -> str:
    """The whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Command line reference"
    yield ""
    yield "Written by `make docs` from the program's own `--help`; change it there."
    yield ""
    top = click.Context(cli, info_name=_PROGRAM, max_content_width=_WIDTH, terminal_width=_WIDTH)
    yield from _section(_PROGRAM, cli, top)
    for name in cli.list_commands(top):
        command = cli.get_command(top, name)
        if command is not None:
            context = click.Context(
                command, parent=top, info_name=name, max_content_width=_WIDTH, terminal_width=_WIDTH
            )
            yield from _section(f"{_PROGRAM} {name}", command, context)


def _section(title: str, command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield "```text"
    yield command.get_help(context)
    yield "```"
    yield ""


if __name__ == "__main__":
    click.echo(markdown(), nl=False)
