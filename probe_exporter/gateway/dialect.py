"""Making requests and reading answers: the part of an endpoint that depends on its interface.

A fetch moves bytes over connections and does not depend on this. The owner interface is the first dialect; another one
may use other methods, bodies and encodings, and may sign a request at the moment when it is sent.
"""

from __future__ import annotations

from typing import Protocol

from probe_exporter.errors import (
    AbsentError,
    BusyError,
    DecodeError,
    GatewayError,
    RateLimitError,
    StatusError,
)
from probe_exporter.gateway.wire import HttpAnswer, request
from probe_exporter.readings.payload import clean, decode
from probe_exporter.secrets import Secret


class Dialect(Protocol):
    """The form of the requests and answers of one interface."""

    def request(self, name: str, host: str, session: bytes) -> bytes:
        """Return the bytes of the request for the endpoint ``name``. Called when a connection is ready to carry it.

        ``host`` is the value of the Host header; ``session`` holds whole header lines that present the session.
        """
        ...

    def document(self, name: str, answer: HttpAnswer) -> object:
        """Return the content of an answer, as decoded JSON. Raises the GatewayError that the answer means."""
        ...


class OwnerInterface:
    """The owner's API: GET below ``/api/``, JSON, identity encoding."""

    def request(self, name: str, host: str, session: bytes) -> bytes:
        """Return a GET of ``/api/<name>``."""
        return request("GET", f"/api/{name}", host, session)

    def document(self, name: str, answer: HttpAnswer) -> object:
        """Return the JSON of a 200. Raises DecodeError for a body that is not JSON, else the error of the status."""
        if answer.status != 200:
            raise status_error(answer, f"/api/{name}")
        return decode(answer.body)


OWNER = OwnerInterface()


def status_error(answer: HttpAnswer, what: str) -> GatewayError:
    """Return the error for any status but 200, 401 and 403 of ``what``."""
    status = answer.status
    if status == 429:
        return RateLimitError(f"the gateway limits requests to {what} (429)", _retry_after(answer))
    if status == 503:
        return BusyError(f"the gateway is busy and does not answer {what} (503)", _retry_after(answer))
    if status == 404:
        return AbsentError(f"the gateway does not have {what} (404)", status)
    if 300 <= status < 400:
        return StatusError(f"the gateway redirects {what} ({status}); redirects are never followed", status)
    return StatusError(f"the gateway answers {what} with status {status}", status)


def _retry_after(answer: HttpAnswer) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def own_words(body: bytes, password: Secret | None) -> str:
    """Return the gateway's words for a refusal as a short printable line; "" if there are no usable ones."""
    try:
        document = decode(body)
    except DecodeError:
        return ""
    said = document.get("error") or document.get("message") if isinstance(document, dict) else None
    if not isinstance(said, str) or (password is not None and password.reveal() in said):
        return ""
    return clean(said)[:120].replace('"', "'")
