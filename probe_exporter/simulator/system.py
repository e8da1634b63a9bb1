"""The answers of a simulated gateway: the answer, and the interface of everything that gives answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Protocol

PUBLIC: Final = frozenset({"status", "customer/registration", "auth/toggle/supported"})
"""Endpoints that firmware since 20.49 answers without a session."""

JSON_TYPE: Final = "application/json"
TEXT_TYPE: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class SimulatedAnswer:
    """An HTTP answer. ``headers`` come on top of what every answer carries; ``delay`` is in seconds."""

    status: int
    body: bytes
    content_type: str | None = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0

    @property
    def is_json(self) -> bool:
        """Return True if this is a document that a fault can spoil."""
        return self.status == 200 and self.content_type == JSON_TYPE


class System(Protocol):
    """The system behind a gateway. `answer` is called from the server's thread alone."""

    @property
    def public(self) -> frozenset[str] | None:
        """Endpoints that need no session; None where none needs one (firmware before 20.49)."""
        ...

    def answer(self, endpoint: str) -> SimulatedAnswer:
        """The answer to GET of ``endpoint``, a path below ``/api/``."""
        ...


def document(value: object, status: int = 200) -> SimulatedAnswer:
    """A JSON answer, as compact as a gateway's."""
    return SimulatedAnswer(status, json.dumps(value, separators=(",", ":")).encode())


def refusal(status: int, error: str, message: str) -> SimulatedAnswer:
    """An error in the form that gateways use."""
    return document({"code": status, "error": error, "message": message}, status)


NOT_FOUND: Final = SimulatedAnswer(404, b"404 page not found", TEXT_TYPE)
"""The answer of a gateway to a path that its firmware does not have."""
