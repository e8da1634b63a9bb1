"""The choice of format and encoding. No input of a client raises here, or comes back in an answer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from probe_exporter.metrics.exposition import Format

_HEADERS: Final = 64
"""Headers whose meaning is kept: every scrape of a Prometheus has the same ones."""


@lru_cache(maxsize=_HEADERS)
def choose_format(accept: str) -> Format:
    """The text format with the highest quality in ``Accept``; text 0.0.4 where none of ours is asked for.

    OpenMetrics is given only to those who ask for a version that we support, as Prometheus does.
    """
    best, quality = Format.TEXT, 0.0
    for media_type, parameters, weight in _choices(accept):
        form = _format_of(media_type, parameters.get("version"))
        if form is not None and weight > quality:
            best, quality = form, weight
    return best


def wants_page(accept: str) -> bool:
    """Return True if the client is a browser: it names HTML, with at least the quality of text and JSON."""
    weights = {media_type: weight for media_type, _, weight in _choices(accept)}
    plain = max(weights.get("text/plain", 0.0), weights.get("application/json", 0.0))
    return 0.0 < weights.get("text/html", 0.0) >= plain


@lru_cache(maxsize=_HEADERS)
def accepts_gzip(accept_encoding: str) -> bool:
    """Return True if the client takes gzip."""
    weights = {name: weight for name, _, weight in _choices(accept_encoding)}
    return weights.get("gzip", weights.get("*", 0.0)) > 0.0


def _format_of(media_type: str, version: str | None) -> Format | None:
    if media_type == "application/openmetrics-text":
        return Format.OPENMETRICS if version in (None, "1.0.0", "0.0.1") else None
    if media_type in ("text/plain", "text/*", "*/*"):
        return Format.TEXT if version in (None, "0.0.4", "1.0.0") else None
    return None


def _choices(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Value, parameters and quality of each entry of an ``Accept`` header. A malformed quality counts as 0."""
    for entry in header[:4096].split(","):
        value, *rest = entry.split(";")
        parameters = {}
        for parameter in rest:
            name, _, text = parameter.partition("=")
            parameters[name.strip().lower()] = text.strip().strip('"')
        yield value.strip().lower(), parameters, _quality(parameters.get("q", "1"))


def _quality(text: str) -> float:
    whole, _, fraction = text.partition(".")
    digits = fraction or "0"
    if whole not in ("0", "1") or len(digits) > 3 or not (digits.isascii() and digits.isdigit()):
        return 0.0
    return min(1.0, float(text))
