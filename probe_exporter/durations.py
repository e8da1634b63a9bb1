"""Durations as Go writes them: ``1m20s``, ``5d12h10.07s``, ``250ms``, or a plain number of seconds.

Everything is in seconds. Days are an extension that the Go exporter's configuration has.
"""

from __future__ import annotations

import math
import re

_SECONDS = {
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "\u00b5s": 1e-6,  # micro sign
    "\u03bcs": 1e-6,  # Greek mu, which keyboards give as well
    "ns": 1e-9,
}
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_PART = re.compile(rf"({_NUMBER})(ns|us|\u00b5s|\u03bcs|ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_SIGNED = re.compile(r"([+-]?)(.*)", re.DOTALL)
_LONGEST_TEXT = 64


def parse_duration(text: str) -> float:
    """Seconds of a Go duration, or of a plain number of seconds. Raises ValueError for anything else."""
    stripped = text.strip()
    match = _SIGNED.fullmatch(stripped)
    if match is None or not match[2] or len(stripped) > _LONGEST_TEXT:
        raise ValueError("not a duration")
    sign = -1.0 if match[1] == "-" else 1.0
    seconds = sign * _magnitude(match[2])
    if not math.isfinite(seconds):
        raise ValueError("not a duration")
    return seconds


def _magnitude(text: str) -> float:
    if re.fullmatch(_NUMBER, text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise ValueError("not a duration")
    return math.fsum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def format_duration(seconds: float) -> str:
    """A duration as Go would write it, days included: 80.0 is ``1m20s``. Rounded to the nanosecond."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    nanoseconds = round(seconds * 1e9)
    if nanoseconds == 0:
        return "0s"
    if nanoseconds >= 10**9:
        return _with_larger_units(nanoseconds)
    for unit, size in (("ms", 10**6), ("us", 10**3)):
        if nanoseconds >= size:
            return f"{_decimal(nanoseconds, size)}{unit}"
    return f"{nanoseconds}ns"


def _with_larger_units(nanoseconds: int) -> str:
    parts = []
    for unit, size in (("d", 86400 * 10**9), ("h", 3600 * 10**9), ("m", 60 * 10**9)):
        count, nanoseconds = divmod(nanoseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    if nanoseconds:
        parts.append(f"{_decimal(nanoseconds, 10**9)}s")
    return "".join(parts)


def _decimal(amount: int, size: int) -> str:
    whole, rest = divmod(amount, size)
    if not rest:
        return str(whole)
    digits = len(str(size)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")
