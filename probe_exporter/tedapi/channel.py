"""The two ways to ask: v1 in the gateway's own Wi-Fi with its password, and v1r on the home network with a signed key.

A channel makes a request and reads its answer. It does not open the connection. The sender of the request checks the
pin before the first byte, and calls `Channel.request` only once the connection is open, because a signature is valid
for 12 s.
"""

from __future__ import annotations

import base64
import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from google.protobuf.message import DecodeError as ProtobufError
from tesla_protocol.energy_device import signed_message_pb2

from probe_exporter.errors import (
    AbsentError,
    AuthError,
    BusyError,
    ClockError,
    DecodeError,
    ForbiddenError,
    GatewayError,
    RateLimitError,
    RecipientError,
    StatusError,
    UnknownKeyError,
)
from probe_exporter.readings.payload import Payload, clean, decode
from probe_exporter.secrets import Secret
from probe_exporter.tedapi import messages
from probe_exporter.tedapi.queries import Query
from probe_exporter.tedapi.questions import Din, Question
from probe_exporter.tedapi.signing import SigningKey

DIN_PATH: Final = "/tedapi/din"
V1_PATH: Final = "/tedapi/v1"
V1R_PATH: Final = "/tedapi/v1r"
USER: Final = "Tesla_Energy_Device"

_OCTETS: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request: everything that differs from one to another. ``headers`` come without Host, Accept and length."""

    method: str
    path: str
    headers: Mapping[str, str]
    accept: str = _OCTETS
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A whole answer: status, headers with names in lower case, the body without gzip, its time (Unix seconds)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    read_at: float


class Channel(Protocol):
    """A way to the gateway; there are two."""

    @property
    def reaches_followers(self) -> bool:
        """Return True if followers can be asked by way of the gateway."""
        ...

    def request(self, question: Question, din: Din, leader: Din, now: float) -> Outgoing:
        """The request that asks ``question`` of ``din``; ``now`` is Unix seconds."""
        ...

    def document(self, question: Question, din: Din, answer: Incoming) -> dict[str, object]:
        """Return the document of an answer. Raises a GatewayError whose message names the remedy."""
        ...


class WifiChannel:
    """v1: basic authentication with the whole password on the gateway's label; reaches followers."""

    reaches_followers = True

    def __init__(self, password: Secret, queries: Mapping[Question, Query]) -> None:
        self._password = password
        self._queries = queries

    def request(self, question: Question, din: Din, leader: Din, now: float) -> Outgoing:
        """As `Channel.request`; a follower is asked under its own path."""
        path = V1_PATH if din == leader else f"/tedapi/device/{din.text}/v1"
        body = messages.wrapped(messages.envelope(question, din, self._queries))
        return Outgoing("POST", path, {**self._headers(), "Content-Type": _OCTETS}, body=body)

    def din_request(self) -> Outgoing:
        """The request for the DIN of the gateway itself."""
        return Outgoing("GET", DIN_PATH, self._headers(), "text/plain, */*")

    def document(self, question: Question, din: Din, answer: Incoming) -> dict[str, object]:
        """As `Channel.document`."""
        self._check_status(answer)
        return messages.document(question, din, messages.unwrapped(answer.body))

    def din(self, answer: Incoming) -> Din:
        """The DIN in the answer to `din_request`. Raises a GatewayError."""
        self._check_status(answer)
        return read_din(answer.body)

    def _check_status(self, answer: Incoming) -> None:
        if answer.status in (401, 403):
            raise AuthError(
                f"the gateway answers {answer.status}{_words(answer)}: the password for TEDAPI must be the whole "
                "password of its label, not the last five characters; and this machine must be in the gateway's own "
                "Wi-Fi, as firmware 25.10 and later refuses requests that were routed to it"
            )
        check_status(answer)

    def _headers(self) -> dict[str, str]:
        pair = f"{USER}:{self._password.reveal()}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}


class LanChannel:
    """v1r: each request is signed with the key that was registered for the site; asks the gateway only."""

    reaches_followers = False

    def __init__(self, key: SigningKey, queries: Mapping[Question, Query]) -> None:
        self._key = key
        self._queries = queries

    def request(self, question: Question, din: Din, leader: Din, now: float) -> Outgoing:
        """As `Channel.request`."""
        body = self._key.request(question, din, self._queries, now)
        return Outgoing("POST", V1R_PATH, {"Content-Type": _OCTETS}, body=body)

    def document(self, question: Question, din: Din, answer: Incoming) -> dict[str, object]:
        """As `Channel.document`."""
        if answer.status in (401, 403):
            raise ForbiddenError(
                f"the gateway answers {answer.status}{_words(answer)}: its firmware does not take signed requests; "
                "a Powerwall 3 has them, a Powerwall 2 with a Gateway 2 from 26.26.4 on"
            )
        check_status(answer)
        try:
            outer = signed_message_pb2.RoutableMessage.FromString(answer.body)
        except ProtobufError as error:
            raise DecodeError("the answer is not a signed message, or it is cut short") from error
        fault = outer.signed_message_status.message_fault
        if fault:
            raise _fault(fault, answer)
        if not outer.protobuf_message_as_bytes:
            raise DecodeError("the signed answer is empty")
        return messages.document(question, din, outer.protobuf_message_as_bytes)


def read_din(body: bytes) -> Din:
    """The DIN that ``/tedapi/din`` answers. Raises DecodeError."""
    try:
        return Din(body.decode("ascii").strip().strip('"'))
    except ValueError as error:
        raise DecodeError(f"the answer to {DIN_PATH} is not a DIN") from error


def check_status(answer: Incoming) -> None:
    """Raise the error of the tree for any status but 200; 401 and 403 mean something different in each channel."""
    status = answer.status
    if status == 200:
        return
    words = _words(answer)
    if status in (401, 403):
        raise AuthError(f"the gateway answers {status}{words}")
    if status == 404:
        raise AbsentError(
            "the gateway has no such path (404): this firmware does not have this way to ask", 404
        )
    if status == 429:
        raise RateLimitError(f"the gateway limits the rate of requests (429){words}", _retry_after(answer))
    if status == 503:
        raise BusyError(f"the gateway is busy (503){words}", _retry_after(answer))
    raise StatusError(f"the gateway answers {status}{words}", status)


def _words(answer: Incoming) -> str:
    """The gateway's own words for a refusal, in brackets; nothing where it gives none."""
    try:
        payload = Payload(decode(answer.body))
    except DecodeError:
        return ""
    said = payload.text("message") or payload.text("error")
    return f" ({clean(said)})" if said else ""


def _retry_after(answer: Incoming) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def _clock_offset(answer: Incoming) -> float | None:
    """By how many seconds the gateway's clock is ahead of ours, from its Date header."""
    try:
        return email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp() - answer.read_at
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _fault(fault: int, answer: Incoming) -> GatewayError:
    """The error for a fault of a signed message."""
    known = signed_message_pb2.MessageFault_E
    name = known.Name(known.ValueType(fault)) if fault in known.values() else f"fault {fault}"
    word = name.removeprefix("MESSAGEFAULT_ERROR_")
    if word in ("TIME_EXPIRED", "TIME_TO_LIVE_TOO_LONG"):
        offset = _clock_offset(answer)
        cause = (
            "the likely cause is this machine's clock"
            if offset is None
            else f"the gateway's clock is {abs(offset):.0f} s {'ahead of' if offset >= 0 else 'behind'} this machine's"
        )
        return ClockError(
            f"the gateway refuses the request as outdated or too early: {cause}; set it by NTP ({word})"
        )
    if word in ("UNKNOWN_KEY_ID", "INACTIVE_KEY", "INSUFFICIENT_PRIVILEGES"):
        return UnknownKeyError(
            f"the key is not registered at this gateway ({word}): it was registered for another site, was removed, or "
            "the key file is that of another machine; register this one"
        )
    if word in ("INVALID_SIGNATURE", "WRONG_PERSONALIZATION", "INVALID_DOMAINS"):
        return RecipientError(
            f"the gateway refuses the request as not addressed to it ({word}): the DIN belongs to another gateway, "
            "or this one was replaced; compare it with the label"
        )
    if word in ("BUSY", "TIMEOUT", "INTERNAL"):
        return BusyError(f"the gateway is busy ({word})")
    return messages.refusal(word)
