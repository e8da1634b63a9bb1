"""Log lines on standard error, in three styles.

A message is one line whatever is in it: control characters are escaped, so nothing that a gateway or a client sends
can forge a line. What a log call gives as ``extra`` becomes a field. Exceptions show as kind and place, without their
message and without a traceback: both may quote a secret.
"""

from __future__ import annotations

import codecs
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, TextIO

from probe_exporter.cli.endings import places

if TYPE_CHECKING:
    from probe_exporter.errors import Mistake

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "taskName",
}
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_ESCAPING: Final = codecs.lookup("unicode_escape")
"""Looked up at import: Python opens a file for it, and a process without file descriptors has the most to log."""

_log = logging.getLogger("probe_exporter")


def configure(level: str, style: str, stream: TextIO | None = None) -> None:
    """Log from ``level`` on, in ``style`` (text, logfmt or json), to standard error or ``stream``.

    Libraries log warnings and above, whatever the level: their debug lines show requests and headers.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_FORMATTERS[style]())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.raiseExceptions = False
    _log.setLevel(_LEVELS[level])


def warn_about(warnings: Iterable[Mistake], told: Iterable[Mistake] = ()) -> None:
    """Log the warnings about the configuration, one to a line, except those in ``told``.

    A warning that moved within its file counts as the same.
    """
    known = {(warning.file, warning.path, warning.problem) for warning in told}
    for warning in warnings:
        if (warning.file, warning.path, warning.problem) not in known:
            _log.warning("%s", warning)


def _time(record: logging.LogRecord) -> str:
    """UTC in RFC 3339 with milliseconds."""
    moment = datetime.fromtimestamp(record.created, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level(record: logging.LogRecord) -> str:
    return record.levelname.lower()


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """The fields that the log call passed as ``extra``, and the exception."""
    for key, value in vars(record).items():
        if key not in _STANDARD and not key.startswith("_") and value is not None:
            yield key, value
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        yield "exception", type(error).__name__
        yield "at", " < ".join(places(error.__traceback__))


def _one_line(text: str) -> str:
    """Return the text with all characters escaped that are not printable."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _ESCAPING.encode(c)[0].decode("ascii") for c in text)


def _quoted(value: Any) -> str:
    """A logfmt value: bare where that is safe, otherwise in quotes."""
    text = _one_line(str(value))
    if text and not any(c in text for c in ' ="\\'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class TextFormatter(logging.Formatter):
    """A formatter for terminals: time, level, sentence, fields in parentheses."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = ", ".join(f"{key} {_one_line(str(value))}" for key, value in _fields(record))
        line = f"{_time(record)} {_level(record).upper():<7} {_one_line(record.getMessage())}"
        return f"{line} ({fields})" if fields else line


class LogfmtFormatter(logging.Formatter):
    """``key=value`` pairs."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        pairs = {
            "time": _time(record),
            "level": _level(record),
            "msg": record.getMessage(),
            **dict(_fields(record)),
        }
        return " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())


class JsonFormatter(logging.Formatter):
    """A formatter that writes a JSON object on each line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        pairs = {
            "time": _time(record),
            "level": _level(record),
            "msg": record.getMessage(),
            **dict(_fields(record)),
        }
        return json.dumps(pairs, default=str)


_FORMATTERS: Final[dict[str, type[logging.Formatter]]] = {
    "text": TextFormatter,
    "logfmt": LogfmtFormatter,
    "json": JsonFormatter,
}
