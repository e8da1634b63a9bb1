"""The end of a command: its exit code, and a line on standard error where something went wrong."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn

import click

from probe_exporter.errors import GatewayError, ProbeExporterError

_PACKAGE: Final = str(Path(__file__).parent.parent)


def run(command: click.Command, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, ``arguments`` or else those of the process, and end the process.

    Exit codes: 0; 1 for a target that failed, a port that is taken or an end by Ctrl-C; 2 for the command line or the
    configuration.
    """
    try:
        result = command.main(arguments, standalone_mode=False)
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 1
    except ProbeExporterError as error:
        click.echo(str(error), err=True)
        code = 2
    except BrokenPipeError:
        # The reader of our output has closed the pipe, as `head` does. Nothing more can be written to it, not even at
        # exit.
        sys.stdout = None
        code = 1
    except OSError as error:
        click.echo(describe_system_error(error), err=True)
        code = 1
    except Exception as error:  # noqa: BLE001 – the last resort: one line instead of a traceback
        click.echo(_unexpected(error), err=True)
        code = 1
    sys.exit(code)


def describe_failure(error: Exception) -> str:
    """Return one line about an error of a gateway or a file. Raises any other error as it is."""
    if isinstance(error, OSError):
        return describe_system_error(error)
    if isinstance(error, GatewayError):
        return str(error)
    raise error


def describe_system_error(error: OSError) -> str:
    """Return one line that names the file and gives the system's message."""
    words = error.strerror or type(error).__name__
    return f"{error.filename}: {words}" if error.filename else words


def _unexpected(error: Exception) -> str:
    """Return the kind and place of an error in the exporter itself, without its message, which may quote a secret."""
    where = " < ".join(places(error.__traceback__))
    return f"unexpected {type(error).__name__} at {where}; please report this line as a bug"


def places(trace: TracebackType | None) -> list[str]:
    """``file:line`` of a traceback's innermost four frames in this package, and what they called; innermost first."""
    frames = list(traceback.walk_tb(trace))
    files = [frame.f_code.co_filename for frame, _ in frames]
    ours = [index for index, file in enumerate(files) if file.startswith(_PACKAGE) and file != __file__]
    end = ours[-1] + 2 if ours else len(frames)
    innermost = frames[max(0, end - 4) : end]
    return [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in reversed(innermost)]
