"""Access to the answers of a gateway, none of which is trusted.

Any field may be absent, null, of another type, huge or not finite. `Payload` wraps a decoded JSON document and gives
each field as the type that was asked for, or None. Nothing here raises on content.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from itertools import islice
from typing import Final

from probe_exporter.durations import parse_duration
from probe_exporter.errors import DecodeError

MAX_TEXT: Final = 256
"""Characters of a label value that are kept."""

MAX_VALUES: Final = 10_000
"""Commas and opening brackets of a document that is decoded. The largest known document of a gateway has 1,755."""

MAX_WORDS: Final = 4096
"""Words of gateways that are kept once for the whole process, for as long as it runs."""

MAX_ELEMENTS: Final = 1500
"""Elements of a list that are read: more than an endpoint may give series, so that the rest shows as dropped."""

MAX_NESTED: Final = 4096
"""Characters of a text that is read as JSON itself: the details of a grid fault have some 250."""

MAX_BITS: Final = 1023
"""Integers of this length and more do not fit a float."""

_DECODER: Final = json.JSONDecoder(parse_int=float)
_INFINITY: Final = float("inf")
_NO_FIELDS: Final[Mapping[str, object]] = {}
_NEVER: Final = "0001-"
"""A time that begins so is in the year 1, which means never."""


def decode(body: bytes) -> object:
    """The JSON document in ``body``. Numbers come as float, so that no integer is too long.

    Raises DecodeError when it is not JSON, is nested too deep, is not UTF-8, or has more than `MAX_VALUES` values. The
    values are what costs time: 10,000 of the worst kind (numbers of 40 digits next to the largest float) take 24 ms, a
    MiB of nested lists would take 140 ms, and a probe reads up to 24 documents.
    """
    if body.lstrip().startswith(b"<"):
        raise DecodeError("the answer is a web page, not JSON: is there a gateway at this address?")
    if len(body) > MAX_VALUES and len(body) - len(body.translate(None, b",[{")) > MAX_VALUES:
        raise DecodeError(f"the answer has more than {MAX_VALUES} values")
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"the answer is not JSON: {type(error).__name__}") from error


_words: Final[dict[str, str]] = {}


def clean(text: str) -> str:
    """``text`` fit for a label value: no control characters or lone surrogates, at most 256 characters.

    White space around it goes first: firmware 1.15 ends its version with a line break.

    A thousand gateways send the same few words, and each reading is kept: of up to `MAX_WORDS` words there is one copy.
    Text that begins with a digit (timestamps, versions, part numbers) is not among them. `sys.intern` would keep all
    text for ever: Python 3.12.0 to 3.12.5 never free it.
    """
    text = text.strip()[:MAX_TEXT]
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    if text in _words:
        return _words[text]
    if len(_words) < MAX_WORDS and not text[:1].isdigit():
        _words[text] = text
    return text


class Payload:
    """A JSON value and the accessors for its fields.

    ``unknown`` collects words that no known firmware uses (see `word`); children share their parent's list.
    """

    __slots__ = ("_fields", "_value", "unknown")

    def __init__(self, value: object, unknown: list[str] | None = None) -> None:
        self._value = value
        self._fields: Mapping[str, object] = value if isinstance(value, dict) else _NO_FIELDS
        self.unknown: list[str] = [] if unknown is None else unknown

    @property
    def is_object(self) -> bool:
        """Return True if this is a JSON object."""
        return isinstance(self._value, dict)

    @property
    def is_list(self) -> bool:
        """Return True if this is a JSON list."""
        return isinstance(self._value, list)

    def child(self, key: str) -> Payload:
        """The value under ``key``; empty where there is none."""
        return Payload(self._fields.get(key), self.unknown)

    def items(self) -> Iterator[tuple[str, Payload]]:
        """The first `MAX_ELEMENTS` keys and values of an object, keys cleaned; nothing for anything else."""
        for key, value in islice(self._fields.items(), MAX_ELEMENTS):
            yield clean(key), Payload(value, self.unknown)

    def elements(self) -> Iterator[Payload]:
        """The first `MAX_ELEMENTS` elements of a list; nothing for anything else."""
        if isinstance(self._value, list):
            for value in self._value[:MAX_ELEMENTS]:
                yield Payload(value, self.unknown)

    def length(self, key: str) -> int | None:
        """Return the number of elements in the list under ``key``, None if it is not a list."""
        value = self._fields.get(key)
        return len(value) if isinstance(value, list) else None

    def number(self, key: str, scale: float = 1.0) -> float | None:
        """The finite number under ``key`` times ``scale``; None for anything else. −0 becomes 0."""
        value = self._fields.get(key)
        if type(value) is not float:
            if type(value) is not int or value.bit_length() >= MAX_BITS:
                return None
            value = float(value)
        number = value * scale
        return number + 0.0 if -_INFINITY < number < _INFINITY else None

    def ratio(self, key: str) -> float | None:
        """The percentage under ``key`` as a ratio. A division: 57 times 0.01 would show as 0.5700000000000001."""
        percent = self.number(key)
        return None if percent is None else percent / 100.0

    def moment(self, key: str) -> float | None:
        """The milliseconds since 1970 under ``key`` in Unix seconds; None for 0, which means never."""
        milliseconds = self.number(key)
        return milliseconds / 1000.0 if milliseconds is not None and milliseconds > 0.0 else None

    def duration(self, key: str) -> float | None:
        """The Go duration under ``key``, ``223h5m51.5s``, in seconds; None for anything else."""
        value = self._fields.get(key)
        if not isinstance(value, str):
            return None
        try:
            seconds = parse_duration(value)
        except ValueError:
            return None
        return seconds if seconds >= 0.0 else None

    def flag(self, key: str) -> bool | None:
        """The boolean under ``key``; None for anything else."""
        value = self._fields.get(key)
        return value if isinstance(value, bool) else None

    def text(self, key: str) -> str | None:
        """The string under ``key``, cleaned; None for anything else."""
        value = self._fields.get(key)
        return clean(value) if isinstance(value, str) else None

    def texts(self, key: str) -> tuple[str, ...]:
        """The strings in the list under ``key``, cleaned, `MAX_ELEMENTS` at most."""
        value = self._fields.get(key)
        if not isinstance(value, list):
            return ()
        return tuple(clean(element) for element in value[:MAX_ELEMENTS] if isinstance(element, str))

    def flags(self, key: str) -> tuple[bool | None, ...]:
        """The booleans in the list under ``key``, `MAX_ELEMENTS` at most, None in the place of anything else."""
        value = self._fields.get(key)
        if not isinstance(value, list):
            return ()
        return tuple(element if isinstance(element, bool) else None for element in value[:MAX_ELEMENTS])

    def word(self, key: str, known: tuple[str, ...]) -> str | None:
        """As `text`, and a non-empty word that is not among ``known`` is noted in `unknown`.

        A known word is returned as the object in ``known``, however many words other gateways have sent.
        """
        word = self.text(key)
        if word in known:
            return known[known.index(word)]
        if word:
            self.unknown.append(word)
        return word

    def has(self, key: str) -> bool:
        """Return True if the object has ``key``, be its value null."""
        return key in self._fields

    def never(self, key: str) -> bool:
        """Return True if the time under ``key`` is in the year 1, which means never."""
        value = self._fields.get(key)
        return isinstance(value, str) and value.startswith(_NEVER)

    def nested(self, key: str) -> Payload:
        """The JSON document inside the text under ``key``; empty where there is none, or more than `MAX_NESTED`."""
        value = self._fields.get(key)
        if not isinstance(value, str) or len(value) > MAX_NESTED:
            return Payload(None, self.unknown)
        try:
            return Payload(decode(value.encode("utf-8", "replace")), self.unknown)
        except DecodeError:
            return Payload(None, self.unknown)

    def instant(self, key: str) -> float | None:
        """The RFC 3339 time under ``key`` in Unix seconds; None for the year 0001, which means never."""
        value = self._fields.get(key)
        if not isinstance(value, str) or len(value) >= 64 or value.startswith(_NEVER):
            return None
        return _unix_seconds(value)


def _unix_seconds(text: str) -> float | None:
    """Unix seconds of an RFC 3339 time with up to nine fractional digits; Python 3.10 reads only three or six."""
    head, _, tail = text.partition(".")
    zone = tail.lstrip("0123456789")
    seconds = _whole_seconds(head + zone)
    digits = tail[: len(tail) - len(zone)]
    return seconds + float(f"0.{digits}") if seconds is not None and digits else seconds


@lru_cache(maxsize=128)
def _whole_seconds(text: str) -> float | None:
    """Unix seconds of a time without a fraction: an answer has the same second many times over."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        if moment.year <= 1:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None
