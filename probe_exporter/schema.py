"""What may stand in a configuration file: the voluptuous schemas, and the conversion of typed text to values.

Problems are worded without the offending value, which might be a password: say what is wrong and what to write.
Durations become seconds, passwords ``Secret``.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import voluptuous as vol

from probe_exporter.durations import parse_duration
from probe_exporter.secrets import Secret
from probe_exporter.settings import COLLECTORS, RESERVED_LABELS, Address

T = TypeVar("T")
Validator = Callable[[Any], Any]

HTTPS_PORT = 443
LONGEST_DURATION = 365 * 86400.0
_LONGEST_TEXT = 4096
_LONGEST_NAME = 128
_OWN_PATHS = ("/", "/probe", "/sd", "/config", "/gateways", "/-")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_HOST_NAME = re.compile(r"(?=.{1,253}\.?$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?)+")
_METRICS_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*")
_FINGERPRINT = re.compile(r"sha256:((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})", re.IGNORECASE)
_SETTING = re.compile(r"[a-z][a-z_-]{0,39}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SIMPLE_PORT = re.compile(r"[0-9]{1,5}")


class HiddenKeyError(vol.Invalid):
    """A mistake about a key that may be a misplaced value: the last step of its path must not be shown."""


def text(value: object) -> str:
    """One line of text that is not empty."""
    if not isinstance(value, str):
        raise vol.Invalid("must be a text, not a list or mapping; quote a value that begins with { or [")
    if not value:
        raise vol.Invalid(
            "is empty; give a value or take the line out (a value that begins with # or & needs quotes)"
        )
    if len(value) > _LONGEST_TEXT:
        raise vol.Invalid(f"is longer than {_LONGEST_TEXT} characters; shorten it")
    if _CONTROL.search(value):
        raise vol.Invalid("has a control character or a line break; take it out")
    return value


def secret(value: object) -> Secret:
    """A password: any text that is not empty, kept out of sight."""
    return Secret(text(value))


def seconds(value: object) -> float:
    """A duration of at least zero."""
    try:
        parsed = parse_duration(text(value))
    except ValueError:
        raise vol.Invalid("is no duration; write 10s, 1m20s, 500ms or a number of seconds") from None
    if parsed < 0:
        raise vol.Invalid("must not be negative; write 0s or more")
    if parsed > LONGEST_DURATION:
        raise vol.Invalid("is too long; write 365d or less")
    return parsed


def some_seconds(value: object) -> float:
    """A duration of more than zero."""
    parsed = seconds(value)
    if parsed <= 0:
        raise vol.Invalid("must be more than zero; write for example 10s")
    return parsed


def boolean(value: object) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    found = words.get(text(value).lower())
    if found is None:
        raise vol.Invalid("must be true or false")
    return found


def connections(value: object) -> int:
    typed = text(value)
    if len(typed) != 1 or typed not in "12345678":
        raise vol.Invalid("must be a whole number from 1 to 8")
    return int(typed)


def one_or_many(item: Callable[[object], T]) -> Callable[[object], list[T]]:
    """A list of something, or that something alone."""
    many = vol.Schema([item])

    def read(value: object) -> list[T]:
        if isinstance(value, str):
            return [item(value)]
        if not isinstance(value, list):
            raise vol.Invalid("must be a text or a list of texts")
        found: list[T] = list(many(list(value)))
        return found

    return read


def collector(value: object) -> str:
    name = text(value)
    if name not in COLLECTORS:
        raise vol.Invalid(f"is no collector{suggestion(name, COLLECTORS)}; there are {', '.join(COLLECTORS)}")
    return name


def collectors(value: object) -> tuple[str, ...]:
    """Which subjects are exported, in the order of ``COLLECTORS``; core always is."""
    asked = {"core", *one_or_many(collector)(value)}
    return tuple(name for name in COLLECTORS if name in asked)


def addresses(value: object) -> tuple[Address, ...]:
    """One address, or several of one gateway in the order to try them."""
    found = one_or_many(address)(value)
    if not found:
        raise vol.Invalid("is an empty list; write host, host:port or [IPv6]:port")
    for index, one in enumerate(found):
        if address_key(one) in map(address_key, found[:index]):
            raise vol.Invalid("is in the list twice; take one out", path=[index])
    return tuple(found)


def address(value: object) -> Address:
    """``host``, ``host:port``, ``[v6]`` or ``[v6]:port``; the port is 443 where left out."""
    typed = text(value)
    if "/" in typed or "@" in typed:
        raise vol.Invalid("must be host or host:port alone; take out https://, user and path")
    host, port = _host_and_port(typed)
    if not host or not _is_host(host):
        raise vol.Invalid("is no address; write host, host:port or [IPv6]:port")
    return Address(host, HTTPS_PORT if port is None else _port(port, lowest=1), typed)


def address_key(one: Address) -> tuple[str, int]:
    """Equal for addresses that mean the same."""
    host = one.host.lower().rstrip(".")
    if ":" in host:
        host = str(ipaddress.ip_address(host))
    return host, one.port


def address_in(name: str) -> tuple[str, int]:
    """The name of a gateway, read as an address; one that nobody has where it is none."""
    try:
        return address_key(address(name))
    except vol.Invalid:
        return "", 0


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
    """``:port``, ``host:port`` or ``[v6]:port``."""
    typed = text(value)
    host, port = _host_and_port(typed)
    if port is None or (host and not _is_host(host)) or "/" in typed:
        raise vol.Invalid("is no listen address; write :9871, host:port or [IPv6]:port")
    _port(port, lowest=0)
    return typed


def metrics_path(value: object) -> str:
    typed = text(value)
    if not _METRICS_PATH.fullmatch(typed):
        raise vol.Invalid(
            "must be a path that begins with /, without spaces, ? and #; the usual one is /metrics"
        )
    if typed.rstrip("/") in ("", *_OWN_PATHS) or typed.startswith(("/-/", "/gateways/")):
        raise vol.Invalid("is a path that the exporter uses for something else; the usual one is /metrics")
    return typed


def fingerprint(value: object) -> bytes:
    """``sha256:`` and 64 hex digits, colons between the octets allowed: the 32 octets."""
    match = _FINGERPRINT.fullmatch(text(value).replace(" ", ""))
    if match is None:
        raise vol.Invalid("must be sha256: and 64 hex digits, as probe_exporter fetchcert prints them")
    return bytes.fromhex(match[1].replace(":", ""))


def name(value: str) -> str:
    """The name of a module or gateway, or HiddenKeyError."""
    if not value or value != value.strip() or len(value) > _LONGEST_NAME or _CONTROL.search(value):
        raise HiddenKeyError(
            f"a name must have 1 to {_LONGEST_NAME} characters, no control characters and no space at its ends"
        )
    if not value.strip("."):
        raise HiddenKeyError(
            "a name must not be dots alone: it is part of an address, where they lead elsewhere"
        )
    return value


def labels(value: object) -> dict[str, str]:
    """Labels for service discovery: no name that Prometheus or the exported metrics use."""
    errors: list[vol.Invalid] = []
    found: dict[str, str] = {}
    for key, item in as_mapping(value).items():
        try:
            _check_label_name(key)
            found[key] = text(item)
        except vol.Invalid as error:
            error.prepend([key])
            errors.append(error)
    if errors:
        raise vol.MultipleInvalid(errors)
    return found


def _check_label_name(key: str) -> None:
    if not _LABEL_NAME.fullmatch(key):
        raise HiddenKeyError("no label name; use letters, digits and _ only (and a space after the colon)")
    if key.startswith("__"):
        raise vol.Invalid("labels that begin with __ belong to Prometheus; choose another name")
    if key in ("job", "instance"):
        raise vol.Invalid("Prometheus sets this label itself; choose another name")
    if key in RESERVED_LABELS:
        raise vol.Invalid("is a label of the exported metrics; choose another name")


def as_mapping(value: object) -> Mapping[str, Any]:
    """A mapping; nothing at all counts as an empty one."""
    if isinstance(value, dict):
        return value
    if value in ("", "~", "null"):
        return {}
    raise vol.Invalid("must be a mapping: indented lines of `key: value` (with a space after the colon)")


def without_empty(value: object) -> object:
    """A section of the Go exporter: a key without a value is as good as none there."""
    return {key: item for key, item in value.items() if item != ""} if isinstance(value, dict) else value


def steps(error: vol.Invalid) -> tuple[str | int, ...]:
    """Where in the checked value the mistake is: keys and indexes."""
    return tuple(step if isinstance(step, int) else str(step) for step in error.path)


def suggestion(word: str, known: Iterable[str]) -> str:
    """``, did you mean X?`` where something like the word is known, else nothing."""
    near = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""


def settings(keys: Mapping[str, Validator]) -> Callable[[object], dict[str, Any]]:
    """A mapping with these keys and no others, all of them optional."""
    known = tuple(keys)
    checks: dict[object, Validator] = {vol.Optional(key): check for key, check in keys.items()}
    checks[vol.Extra] = _unknown
    schema = vol.Schema(checks)

    def read(value: object) -> dict[str, Any]:
        try:
            found: dict[str, Any] = schema(dict(as_mapping(value)))
        except vol.MultipleInvalid as error:
            raise vol.MultipleInvalid([_worded(one, known) for one in error.errors]) from None
        return found

    return read


class _UnknownKeyError(vol.Invalid):
    pass


def _unknown(value: object) -> object:
    raise _UnknownKeyError("unknown key")


def _worded(error: vol.Invalid, known: tuple[str, ...]) -> vol.Invalid:
    if not isinstance(error, _UnknownKeyError):
        return error
    key = str(error.path[-1])
    if _may_hold_a_value(key):
        problem = "unknown key (not shown: it may hold a value); is a space missing after a colon?"
        return HiddenKeyError(problem, error.path)
    hint = suggestion(key, known) or f"; known are {', '.join(known)}"
    return vol.Invalid(f"unknown key{hint}", error.path)


def _may_hold_a_value(key: str) -> bool:
    """Whether a slip (a colon or a space lost) may have glued a password to this unknown key."""
    credential = key.startswith("login_p") and not difflib.get_close_matches(
        key, _CREDENTIALS, n=1, cutoff=0.9
    )
    return credential or not _SETTING.fullmatch(key)


def _anything(value: object) -> object:
    return value


_CREDENTIALS: dict[str, Validator] = {
    "login_email": text,
    "login_password": secret,
    "login_password_file": text,
}
_TOP: dict[str, Validator] = {
    "web": _anything,
    "modules": as_mapping,
    "gateways": as_mapping,
    "gateway_files": one_or_many(text),
    "state_directory": text,
    "device": as_mapping,
}
TOP_KEYS = tuple(_TOP)
TOP = settings(_TOP)
GATEWAY_FILE = settings({"gateways": as_mapping})
WEB = settings({"listen_address": listen_address, "metrics_path": metrics_path})
MODULE = settings(
    {
        "collectors": collectors,
        "timeout": some_seconds,
        "timeout_offset": seconds,
        "scrape_interval": some_seconds,
        "scrape_timeout": some_seconds,
        "request_timeout": some_seconds,
        "connect_timeout": some_seconds,
        "retry_interval": some_seconds,
        "retry_timeout": seconds,
        "max_connections": connections,
        "min_interval": seconds,
        "network_names": boolean,
        **_CREDENTIALS,
    }
)
GATEWAY = settings(
    {
        "gateway_address": addresses,
        **_CREDENTIALS,
        "tls_cert_file": text,
        "tls_fingerprint": fingerprint,
        "retry_interval": some_seconds,
        "retry_timeout": seconds,
        "module": text,
        "labels": labels,
    }
)
"""One gateway, and ``device:``."""
