"""Faults of the body: documents that are damaged, hostile, or merely not what one expects.

Each takes the right body and gives the spoilt one, as bytes. Bodies that are not a JSON document are left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from probe_exporter.simulator.fault import Fault, FaultyExchange
from probe_exporter.simulator.messages import Steps, plain

DEPTH: Final = 200_000
DIGITS: Final = 5_000
LONG: Final = 200_000

Spoil = Callable[[bytes, Fault], bytes]

_NUMBER = re.compile(rb"(?<=[:\[,])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?=[,}\]])")
_STRING = re.compile(rb'(?<=[:\[,])"(?:[^"\\]|\\.)*"(?=[,}\]])')


def spoils(spoil: Spoil) -> Callable[[FaultyExchange], Steps]:
    """A fault that spoils the right body, compacted first."""

    def play(exchange: FaultyExchange) -> Steps:
        answer = exchange.answer
        if answer.is_json:
            body = json.dumps(json.loads(answer.body), separators=(",", ":")).encode()
            answer = replace(answer, body=spoil(body, exchange.fault))
        yield from plain(answer)

    return play


def truncate(body: bytes, _fault: Fault) -> bytes:
    """The first half, with a Content-Length to match."""
    return body[: max(len(body) // 2, 1)] if len(body) > 2 else b"["


def nest(_body: bytes, _fault: Fault) -> bytes:
    """200,000 lists in one another."""
    return b"[" * DEPTH + b"]" * DEPTH


def mistype(body: bytes, _fault: Fault) -> bytes:
    """Every value of another type than it should be, in every place."""
    return _dump(_mistyped(json.loads(body)))


def _mistyped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mistyped(item) for name, item in value.items()} or []
    if isinstance(value, list):
        return [_mistyped(item) for item in value] or {}
    if isinstance(value, bool):
        return "perhaps"
    if isinstance(value, (int, float)):
        return {"value": [value]}
    return [17, None] if value is None else len(value)


def mistype_whole(body: bytes, _fault: Fault) -> bytes:
    """A list for an object, an object for anything else."""
    return b'[17,"x",null]' if body.startswith(b"{") else b'{"unexpected":17}'


def nullify(body: bytes, _fault: Fault) -> bytes:
    """Null for every value that is not an object or a list."""
    return _dump(_replaced(json.loads(body), None))


def _replaced(value: Any, leaf: Any) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(item, leaf) for name, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, leaf) for item in value]
    return leaf


def number(token: bytes) -> Spoil:
    """``token`` in the place of every number; in a document without one, as a field of its own."""

    def spoil(body: bytes, _fault: Fault) -> bytes:
        return _NUMBER.sub(token, body)

    return spoil


def text(token: bytes) -> Spoil:
    """``token``, raw and without quotes, in the place of every text."""

    def spoil(body: bytes, _fault: Fault) -> bytes:
        return _STRING.sub(lambda _match: b'"' + token + b'"', body)

    return spoil


def zero_counters(body: bytes, _fault: Fault) -> bytes:
    """All energy counters 0, as in the first minutes after a reboot; a short time since the start."""
    return _dump(_zeroed(json.loads(body)))


def _zeroed(value: Any) -> Any:
    if isinstance(value, list):
        return [_zeroed(item) for item in value]
    if not isinstance(value, dict):
        return value
    fresh: dict[str, Any] = {}
    for name, item in value.items():
        if name.startswith(("energy_exported", "energy_imported", "energy_charged", "energy_discharged")):
            fresh[name] = 0
        elif name == "up_time_seconds":
            fresh[name] = "1m17.25s"
        else:
            fresh[name] = _zeroed(item)
    return fresh


def many_batteries(body: bytes, fault: Fault) -> bytes:
    """``count`` batteries in any document that lists batteries."""
    value = json.loads(body)
    for name in ("battery_blocks", "powerwalls"):
        if isinstance(value, dict) and name in value:
            value[name] = [
                {"PackageSerialNumber": f"B{index}", "p_out": index} for index in range(fault.count)
            ]
    return _dump(value)


def many_entries(body: bytes, fault: Fault) -> bytes:
    """``count`` entries under new names, wherever there is more than one of a kind: meters, networks, batteries."""
    value = json.loads(body)
    if isinstance(value, list):
        return _dump(_multiplied(value, fault.count))
    if isinstance(value, dict) and all(isinstance(item, dict) for item in value.values()):
        parts = list(value.values())
        value |= {f"extra{index}": parts[index % len(parts)] for index in range(fault.count) if parts}
    elif isinstance(value, dict):
        lists = {name: item for name, item in value.items() if isinstance(item, list)}
        value |= {name: _multiplied(item, fault.count) for name, item in lists.items()}
    return _dump(value)


def _multiplied(items: list[Any], count: int) -> list[Any]:
    return [_renamed(items[index % len(items)], index) for index in range(count)] if items else items


def _renamed(value: Any, index: int) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(item, index) for name, item in value.items()}
    return f"{value}-{index}" if isinstance(value, str) else value


def twins(*names: str) -> Spoil:
    """The same text in every field of these names, so that things cannot be told apart; a lone one is doubled."""

    def spoil(body: bytes, _fault: Fault) -> bytes:
        return _dump(_twinned(json.loads(body), names))

    return spoil


def _twinned(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {
            name: "TWIN" if name in names and isinstance(item, str) else _twinned(item, names)
            for name, item in value.items()
        }
    if isinstance(value, list):
        items = [_twinned(item, names) for item in value]
        return items * 2 if len(items) == 1 and isinstance(items[0], dict) else items
    return value


def invalid_utf8(body: bytes, _fault: Fault) -> bytes:
    """Bytes that are not UTF-8 in every text, or at the end of a document without one."""
    spoilt = _STRING.sub(b'"\xff\xfe\xc3("', body)
    return spoilt if spoilt != body else body + b"\xff"


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
