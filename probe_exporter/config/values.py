"""The kinds of values in a configuration: how each is read from the text that was typed, and shown.

Problems are worded without the offending value, which might be a password: say what is wrong and what to write.
Every reader raises ``voluptuous.Invalid``. Durations become seconds, energies joules, passwords ``Secret``.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import voluptuous as vol

from probe_exporter.config.typed_yaml import CommentedText
from probe_exporter.durations import format_duration, parse_duration
from probe_exporter.secrets import MASK, Secret

T = TypeVar("T")

HTTPS_PORT = 443
LONGEST_DURATION = 365 * 86400.0
MOST_NAMES = 10
"""The number of names that a message lists."""
JOULES_PER_KWH = 3.6e6
_LONGEST_TEXT = 4096
_LONGEST_NAME = 128
_OWN_PATHS = ("/", "/probe", "/sd", "/config", "/gateways", "/-")
_HOST_NAME = re.compile(r"(?=.{1,253}\.?$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)+")
_METRICS_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*")
_FINGERPRINT = re.compile(r"sha256:((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})", re.IGNORECASE)
_ENERGY = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?(Wh|kWh|MWh)")
_ENERGY_UNITS = {"Wh": JOULES_PER_KWH / 1000, "kWh": JOULES_PER_KWH, "MWh": JOULES_PER_KWH * 1000}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SIMPLE_PORT = re.compile(r"[0-9]{1,5}")
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class HiddenKeyError(vol.Invalid):
    """A mistake about a key that may be a misplaced value: the last step of its path must not be shown."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value. ``takes`` names it; ``read`` takes what YAML gave, ``show`` gives what YAML may hold."""

    takes: str
    read: Callable[[object], T]
    show: Callable[[T], object] = lambda value: value


@dataclass(frozen=True, slots=True)
class Address:
    """The address at which a gateway listens; ``text`` is what the user typed."""

    host: str
    port: int
    text: str


def text(value: object) -> str:
    """Return one line of text that is not empty."""
    if not isinstance(value, str):
        raise vol.Invalid("must be a text, not a list or mapping; quote a value that begins with { or [")
    if not value:
        raise vol.Invalid(
            "is empty; give a value or take the line out (a value that begins with # or & needs quotes)"
        )
    if len(value) > _LONGEST_TEXT:
        raise vol.Invalid(f"is longer than {_LONGEST_TEXT} characters; shorten it")
    if _CONTROL.search(value):
        raise vol.Invalid(
            "has a control character or a line break; take it out "
            "(a backslash in double quotes makes one: use single quotes)"
        )
    return value


def secret(value: object) -> Secret:
    """Return a password: any text that is not empty, kept out of sight."""
    if isinstance(value, CommentedText):
        raise vol.Invalid("ends at the #, which begins a comment; put the password in single quotes")
    return Secret(text(value))


def seconds(value: object) -> float:
    """Return a duration of at least zero."""
    try:
        parsed = parse_duration(text(value))
    except ValueError:
        raise vol.Invalid("is not a duration; write 10s, 1m20s, 500ms or a number of seconds") from None
    if parsed < 0:
        raise vol.Invalid("must not be negative; write 0s or more")
    if parsed > LONGEST_DURATION:
        raise vol.Invalid("is too long; write 365d or less")
    return parsed


def some_seconds(value: object) -> float:
    """Return a duration of more than zero."""
    parsed = seconds(value)
    if parsed <= 0:
        raise vol.Invalid("must be more than zero; write for example 10s")
    return parsed


def boolean(value: object) -> bool:
    """Return a truth value."""
    found = _WORDS.get(text(value).lower())
    if found is None:
        raise vol.Invalid("must be true or false")
    return found


def connections(value: object) -> int:
    """Return a number of connections to one gateway."""
    typed = text(value)
    if len(typed) != 1 or typed not in "12345678":
        raise vol.Invalid("must be a whole number from 1 to 8")
    return int(typed)


def joules(value: object) -> float:
    """Return an energy of more than zero."""
    match = _ENERGY.fullmatch(text(value))
    energy = 0.0 if match is None else float(match[1]) * _ENERGY_UNITS[match[2]]
    if energy <= 0:
        raise vol.Invalid("is not an energy; write for example 13.5kWh")
    return energy


def time_zone(value: object) -> str:
    """Return the name of a time zone that this system or the package tzdata has."""
    typed = text(value)
    try:
        zoneinfo.ZoneInfo(typed)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise vol.Invalid(
            "is not a time zone that is known here; write for example Europe/Berlin "
            "(where the system has no time zones: pip install tzdata)"
        ) from None
    return typed


def one_or_many(item: Callable[[object], T]) -> Callable[[object], list[T]]:
    """Return the reader of a list of something, or of that something alone."""
    many = vol.Schema([item])

    def read(value: object) -> list[T]:
        if isinstance(value, str):
            return [item(value)]
        if not isinstance(value, list):
            raise vol.Invalid("must be a text or a list of texts")
        found: list[T] = list(many(list(value)))
        return found

    return read


def addresses(value: object) -> tuple[Address, ...]:
    """Return one address, or several of one gateway in the order to try them."""
    found = one_or_many(address)(value)
    if not found:
        raise vol.Invalid("is an empty list; write host, host:port or [IPv6]:port")
    for index, one in enumerate(found):
        if address_key(one) in map(address_key, found[:index]):
            raise vol.Invalid("is in the list twice; take one out", path=[index])
    return tuple(found)


def address(value: object) -> Address:
    """Return ``host``, ``host:port``, ``[v6]`` or ``[v6]:port``; the port is 443 where left out."""
    typed = text(value)
    if "/" in typed or "@" in typed:
        raise vol.Invalid("must be only host or host:port; take out https://, user and path")
    host, port = _host_and_port(typed)
    if not host or not _is_host(host):
        raise vol.Invalid("is not an address; write host, host:port or [IPv6]:port")
    return Address(host, HTTPS_PORT if port is None else _port(port, lowest=1), typed)


def address_key(one: Address) -> tuple[str, int]:
    """Return a pair that is equal for addresses that mean the same."""
    host = one.host.lower().rstrip(".")
    if ":" in host:
        host = str(ipaddress.ip_address(host))
    return host, one.port


def address_in(name: str) -> tuple[str, int]:
    """Return the key of the address that the name of a gateway is, or one that no address has."""
    try:
        return address_key(address(name))
    except vol.Invalid:
        return "", 0


def show_addresses(found: tuple[Address, ...]) -> object:
    """Return one address as it was typed, or the list of several."""
    typed = [one.text for one in found]
    return typed[0] if len(typed) == 1 else typed


def _host_and_port(typed: str) -> tuple[str, str | None]:
    if typed.startswith("["):
        host, bracket, rest = typed[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            return "", None
        return host, rest[1:] if rest else None
    if typed.count(":") > 1:
        return typed, None
    host, colon, port = typed.partition(":")
    return host, port if colon else None


def _is_host(host: str) -> bool:
    if ":" in host or re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
    return _HOST_NAME.fullmatch(host) is not None


def _port(port: str, lowest: int) -> int:
    if not _SIMPLE_PORT.fullmatch(port) or not lowest <= int(port) <= 65535:
        raise vol.Invalid(f"has no valid port; write a number from {lowest} to 65535 after the last colon")
    return int(port)


def listen_address(value: object) -> str:
    """Return ``:port``, ``host:port`` or ``[v6]:port``."""
    typed = text(value)
    host, port = _host_and_port(typed)
    if port is None or (host and not _is_host(host)) or "/" in typed:
        raise vol.Invalid("is not a listen address; write :9871, host:port or [IPv6]:port")
    _port(port, lowest=0)
    return typed


def metrics_path(value: object) -> str:
    """Return the path of a URL that nothing else of the exporter uses."""
    typed = text(value)
    if not _METRICS_PATH.fullmatch(typed):
        raise vol.Invalid(
            "must be a path that begins with /, without spaces, ? and #; the usual one is /metrics"
        )
    if typed.rstrip("/") in ("", *_OWN_PATHS) or typed.startswith(("/-/", "/gateways/")):
        raise vol.Invalid("is a path that the exporter uses for something else; the usual one is /metrics")
    return typed


def fingerprint(value: object) -> bytes:
    """Return the 32 octets of ``sha256:`` and 64 hex digits, colons between the octets allowed."""
    match = _FINGERPRINT.fullmatch(text(value).replace(" ", ""))
    if match is None:
        raise vol.Invalid("must be sha256: and 64 hex digits, as probe_exporter fetchcert prints them")
    return bytes.fromhex(match[1].replace(":", ""))


def file_pattern(value: object) -> str:
    """Return the name of a file, in which ``{name}`` stands for the name of the gateway."""
    typed = text(value)
    if "{" in typed.replace("{name}", ""):
        raise vol.Invalid("only {name} may stand in braces: it becomes the name of the gateway")
    return typed


def name(value: str) -> str:
    """Return the name of a module or gateway. Raises HiddenKeyError."""
    if not value or value != value.strip() or len(value) > _LONGEST_NAME or _CONTROL.search(value):
        raise HiddenKeyError(
            f"a name must have 1 to {_LONGEST_NAME} characters, no control characters and no space at its ends"
        )
    if not value.strip("."):
        raise HiddenKeyError(
            "a name must not consist of dots only: it is part of a URL, where dots have another meaning"
        )
    return value


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping; nothing at all counts as an empty one."""
    if isinstance(value, dict):
        return value
    if value in ("", "~", "null"):
        return {}
    raise vol.Invalid("must be a mapping: indented lines of `key: value` (with a space after the colon)")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``, did you mean X?`` where a similar word is known, else an empty text."""
    near = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""


def some_of(names: Iterable[str], near: str = "") -> str:
    """Return at most ten of many names, the nearest to what was typed first, and how many more there are."""
    known = list(names)
    nearest = difflib.get_close_matches(near, known, n=3, cutoff=0.5) if near else []
    ordered = list(dict.fromkeys([*nearest, *known]))
    more = len(ordered) - MOST_NAMES
    return ", ".join(ordered[:MOST_NAMES]) + (f" … and {more} more" if more > 0 else "")


TEXT = Kind("text", text)
SECRET = Kind("text", secret, lambda value: MASK)
DURATION = Kind("duration", seconds, format_duration)
SOME_DURATION = Kind("duration", some_seconds, format_duration)
BOOLEAN = Kind("true or false", boolean)
CONNECTIONS = Kind("1 to 8", connections)
ENERGY = Kind("energy", joules, lambda value: f"{value / JOULES_PER_KWH:.10g}kWh")
TIME_ZONE = Kind("time zone", time_zone)
ADDRESSES = Kind("address or list", addresses, show_addresses)
LISTEN_ADDRESS = Kind("address", listen_address)
METRICS_PATH = Kind("path of a URL", metrics_path)
FINGERPRINT = Kind("fingerprint", fingerprint, lambda value: "sha256:" + value.hex())
FILE = Kind("file", text)
FILE_PATTERN = Kind("file", file_pattern)
FILE_PATTERNS = Kind("file or list", one_or_many(text))
MAPPING = Kind("section", as_mapping)
