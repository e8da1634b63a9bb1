"""Log lines: three styles, one line each, no secrets, no tracebacks."""

from __future__ import annotations

import io
import json
import logging
import re

import pytest

from probe_exporter.cli import logs
from probe_exporter.secrets import Secret


def lines(style: str, level: str = "info", **extra: object) -> str:
    stream = io.StringIO()
    logs.configure(level, style, stream)
    logging.getLogger("probe_exporter.fleet").info("a line", extra=extra)
    return stream.getvalue()


def test_logfmt() -> None:
    line = lines("logfmt", target="home", error='says "no"', empty="")
    assert re.fullmatch(
        r'time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info msg="a line" target=home '
        r'error="says \\"no\\"" empty=""\n',
        line,
    )


def test_json() -> None:
    line = json.loads(lines("json", target="home", seconds=1.5, path=object))
    assert line["level"] == "info"
    assert line["msg"] == "a line"
    assert line["target"] == "home"
    assert line["seconds"] == 1.5


def test_text() -> None:
    assert re.fullmatch(r"\S+Z INFO    a line \(target home\)\n", lines("text", target="home"))


@pytest.mark.parametrize("style", ["text", "logfmt", "json"])
def test_nothing_can_forge_a_line(style: str) -> None:
    line = lines(style, target="home\nlevel=error msg=forged\x1b[31m\u2028x")
    assert line.count("\n") == 1
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


@pytest.mark.parametrize("style", ["text", "logfmt", "json"])
def test_a_secret_shows_as_secret(style: str) -> None:
    line = lines(style, password=Secret("canary"))
    assert "canary" not in line
    assert "<secret>" in line


@pytest.mark.parametrize("style", ["text", "logfmt", "json"])
def test_an_exception_shows_kind_and_place_only(style: str) -> None:
    stream = io.StringIO()
    logs.configure("debug", style, stream)
    try:
        raise ValueError("canary")
    except ValueError:
        logging.getLogger("probe_exporter").exception("it broke")
    line = stream.getvalue()
    assert "ValueError" in line
    assert "test_cli_logs.py:" in line
    assert "canary" not in line
    assert line.count("\n") == 1


def test_levels() -> None:
    assert lines("text", "warning") == ""
    assert lines("text", "debug")


def test_libraries_are_heard_from_warnings_on() -> None:
    stream = io.StringIO()
    logs.configure("debug", "text", stream)
    logging.getLogger("urllib3.connectionpool").debug("headers and such")
    assert stream.getvalue() == ""
    logging.getLogger("urllib3.connectionpool").warning("odd")
    assert "odd" in stream.getvalue()


def test_a_call_with_wrong_arguments_costs_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream)
    logging.getLogger("probe_exporter").info("%d", "canary")
    assert capsys.readouterr().err == ""
