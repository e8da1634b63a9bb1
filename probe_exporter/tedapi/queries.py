"""Tesla's query texts with their signatures, read from a file: they are not part of this project.

The package pypowerwall brings the file ``V2024_06.json``; it is read as data, and nothing of that package is imported.
Only the two texts that this release has hashes of are taken, whatever else a file holds.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from probe_exporter.files import read_regular
from probe_exporter.tedapi.questions import Question

INSTALL: Final = "pip install '.[tedapi]'"
"""The command that brings what TEDAPI needs."""

_PACKAGE: Final = "pypowerwall"
_FILE: Final = "pypowerwall/tedapi/queries/V2024_06.json"
_LARGEST: Final = 1 << 20
_NAMES: Final = {Question.CONTROLLER: "device_controller_full", Question.COMPONENTS: "components"}
DIGESTS: Final = {
    Question.CONTROLLER: "d73367db776babd92b9ae4c4ef83ae131160e229e4e94b498b0c8193d4457b58",
    Question.COMPONENTS: "d30b5805344ecfa261e0d6d72fe2397c59ade7be3fa1c595fcda32089d471fb2",
}
"""SHA-256 of each text and its signature: another text under the same name is refused, as it might not be a read."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query text, and Tesla's signature over version and text."""

    text: bytes
    signature: bytes
    version: int = 1


Queries = dict[Question, Query]


def extra_installed() -> bool:
    """Return True if the message classes are installed; imports none of them."""
    return importlib.util.find_spec("tesla_protocol") is not None


def installed_file() -> Path | None:
    """The query file of an installed pypowerwall; None where there is none."""
    try:
        found = Path(str(importlib.metadata.distribution(_PACKAGE).locate_file(_FILE)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return found if found.is_file() else None


def load_queries(path: Path) -> Queries:
    """The two queries in a file.

    Raises OSError where it cannot be read, and ValueError, with a sentence that says what to do, where it does not
    hold the texts of this release.
    """
    remedy = f"use {Path(_FILE).name} of pypowerwall 0.22 or 0.23, which `{INSTALL}` brings"
    try:
        document = json.loads(read_regular(path, _LARGEST))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError(f"is not JSON; {remedy}") from None
    return {question: _query(document, question, remedy) for question in _NAMES}


def _query(document: object, question: Question, remedy: str) -> Query:
    name = _NAMES[question]
    entry = document.get(name) if isinstance(document, dict) else None
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("text", "code")):
        raise ValueError(f"holds no query {name}; {remedy}")
    text = entry["text"].encode("utf-8", "replace")
    try:
        signature = bytes.fromhex(entry["code"])
    except ValueError:
        raise ValueError(f"the signature of its query {name} is not hexadecimal; {remedy}") from None
    if hashlib.sha256(signature + text).hexdigest() != DIGESTS[question]:
        raise ValueError(f"its query {name} is not the one of this release; {remedy}")
    return Query(text, signature)
