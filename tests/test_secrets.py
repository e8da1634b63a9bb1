"""A secret shows itself to nobody who does not ask for it."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

import jinja2
import pytest
import yaml

from probe_exporter.secrets import Secret, read_secret_file

MARKER = "the-marker"
SECRET = Secret(MARKER)


@dataclass(frozen=True)
class Holder:
    password: Secret


def in_a_traceback() -> str:
    try:
        raise ValueError(SECRET, Holder(SECRET))
    except ValueError:
        return traceback.format_exc()


@pytest.mark.parametrize(
    "show",
    [
        lambda: repr(SECRET),
        lambda: str(SECRET),
        lambda: f"{SECRET}",
        lambda: f"{SECRET!r:>20}",
        lambda: f"{SECRET:>20}",
        lambda: "%s %r" % (SECRET, SECRET),  # noqa: UP031
        lambda: "{0} {0!a}".format(SECRET),  # noqa: UP032
        lambda: Template("$it").substitute(it=SECRET),
        lambda: jinja2.Template("{{ it }} {{ it|string }} {{ it|pprint }}").render(it=SECRET),
        lambda: json.dumps({"it": SECRET}, default=str),
        lambda: repr([SECRET, {SECRET: SECRET}, Holder(SECRET)]),
        lambda: repr(asdict(Holder(SECRET))),
        lambda: ascii(SECRET),
        lambda: logging.makeLogRecord({"msg": "%s", "args": (SECRET,)}).getMessage(),
        in_a_traceback,
    ],
)
def test_showing_shows_nothing(show: Callable[[], str]) -> None:
    text = show()
    assert MARKER not in text
    assert "<secret>" in text


@pytest.mark.parametrize(
    "write",
    [
        lambda: pickle.dumps(SECRET),
        lambda: json.dumps(SECRET),
        lambda: yaml.safe_dump(SECRET),
        lambda: yaml.dump(SECRET),
        lambda: "".join([SECRET]),  # type: ignore[list-item]
        lambda: "a" + SECRET,  # type: ignore[operator]
        lambda: bytes(SECRET),  # type: ignore[call-overload]
        lambda: list(SECRET),  # type: ignore[call-overload]
        lambda: vars(SECRET),
    ],
)
def test_what_would_need_the_text_fails_without_it(write: Callable[[], object]) -> None:
    with pytest.raises((TypeError, yaml.YAMLError)) as caught:
        write()
    assert MARKER not in str(caught.value)


def test_it_is_compared_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("\ud800")}) == 2
    assert Secret("ä") == Secret("ä")
    assert bool(Secret("a"))
    assert not Secret("")


def test_copies_are_the_secret_itself() -> None:
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy({"it": SECRET})["it"] is SECRET
    assert SECRET.reveal() == MARKER


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"word", "word"),
        (b"word\n", "word"),
        (b"word\r\n", "word"),
        (b" wo rd \n", " wo rd "),
        ("wörd".encode(), "wörd"),
    ],
)
def test_a_secret_file_loses_one_newline(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert read_secret_file(path).reveal() == text


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="regular file"):
        read_secret_file(tmp_path / "pipe")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"x" * 4097,
        b"\xff",
        b"word\n\n",
        b"two\nlines\n",
        b"\xef\xbb\xbfword",
        b"wo\x00rd",
        b"wo\trd",
    ],
)
def test_a_file_that_holds_no_password(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^the file "):
        read_secret_file(path)
