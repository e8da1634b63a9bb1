"""A system that was recorded: the same answers for ever."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from probe_exporter.simulator.system import JSON_TYPE, NOT_FOUND, PUBLIC, TEXT_TYPE, SimulatedAnswer

FORMAT: Final = "powerwall-record/1"
"""The format of files that ``probe_exporter record`` writes."""

_ERROR: Final = ".http-error.json"


class RecordedSystem:
    """Answers by endpoint; whatever is not there does not exist.

    Firmware 1.x asked for no session, so a recording of one needs none. ``pace`` makes answers take as long as
    they took when they were recorded.
    """

    def __init__(self, answers: Mapping[str, SimulatedAnswer]) -> None:
        self.answers = dict(answers)
        self.public: frozenset[str] | None = None if _is_legacy(self.answers.get("status")) else PUBLIC

    def answer(self, endpoint: str) -> SimulatedAnswer:
        """The recorded answer, or 404."""
        return self.answers.get(endpoint) or self.answers.get(endpoint.replace("/", "_")) or NOT_FOUND

    @classmethod
    def from_folder(cls, folder: Path) -> RecordedSystem:
        """A folder of payloads: one that an ``INDEX.json`` beside it describes, or one of files named by endpoint.

        In the latter ``meters_aggregates.json`` is the body of ``meters/aggregates``, and
        ``meters_aggregates.http-error.json`` an object of ``status``, ``content_type`` and ``body``.
        Raises OSError and ValueError.
        """
        index = folder.parent / "INDEX.json"
        systems = json.loads(index.read_text("utf-8")) if index.is_file() else {}
        if folder.name in systems:
            entries = systems[folder.name]["endpoints"]
            return cls(
                {path.removeprefix("/api/"): _indexed(folder, entry) for path, entry in entries.items()}
            )
        files = sorted(folder.glob("*.json"))
        if not files:
            raise ValueError(f"{folder} holds no payloads")
        return cls({file.name.partition(".")[0].removeprefix("api_"): _from_file(file) for file in files})

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pace: bool = False) -> RecordedSystem:
        """Return the system from a record of ``probe_exporter record``. Raises ValueError for another format."""
        endpoints = record.get("endpoints")
        if record.get("format") != FORMAT or not isinstance(endpoints, Mapping):
            raise ValueError(f"not a record of the format {FORMAT}")
        return cls({str(name): _recorded(name, entry, pace) for name, entry in endpoints.items()})


def _recorded(name: str, entry: object, pace: bool) -> SimulatedAnswer:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("status"), int):
        raise ValueError(f"{name}: an answer has a status")
    seconds = entry.get("seconds")
    delay = float(seconds) if pace and isinstance(seconds, (int, float)) else 0.0
    return _answer(entry["status"], entry.get("content_type"), entry.get("body"), delay)


def _indexed(folder: Path, entry: Mapping[str, Any]) -> SimulatedAnswer:
    if "file" not in entry:
        return _answer(entry["status"], entry.get("content_type"), entry.get("body"))
    if entry.get("http_error_record"):
        return _from_file(folder / entry["file"])
    return SimulatedAnswer(entry["status"], (folder / entry["file"]).read_bytes(), entry.get("content_type"))


def _from_file(file: Path) -> SimulatedAnswer:
    if not file.name.endswith(_ERROR):
        return SimulatedAnswer(200, file.read_bytes())
    record = json.loads(file.read_text("utf-8"))
    if not isinstance(record, dict) or not isinstance(record.get("status"), int):
        raise ValueError(f"{file} is not an object with a status")
    headers = record.get("headers") or {}
    body = record.get("body")
    content_type = record.get("content_type") or headers.get("content-type")
    return _answer(record["status"], content_type, body)


def _answer(status: int, content_type: str | None, body: object, delay: float = 0.0) -> SimulatedAnswer:
    """An answer from its parts. A body that is a text is sent as it is: no endpoint's document is a JSON string."""
    if isinstance(body, str):
        data = body.encode("utf-8", "replace")
    else:
        data = b"" if body is None and status != 200 else json.dumps(body, separators=(",", ":")).encode()
    if not isinstance(content_type, str) or not content_type.isprintable():
        content_type = None
    if content_type is None and data:
        content_type = TEXT_TYPE if data == NOT_FOUND.body else JSON_TYPE
    return SimulatedAnswer(status, data, content_type, delay=delay)


def _is_legacy(status: SimulatedAnswer | None) -> bool:
    if status is None or status.status != 200:
        return False
    try:
        document = json.loads(status.body)
    except ValueError:
        return False
    return isinstance(document, dict) and str(document.get("version", "")).startswith("1.")
