"""HTTP/1.1 as far as a gateway supports it: requests in, heads out, and the steps in which an answer leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from typing import Final

from probe_exporter.simulator.system import SimulatedAnswer

MAX_HEAD: Final = 1 << 16
"""Bytes of a request's head, and of its body, that are read before the connection is dropped."""


class Ending(Enum):
    """The end of an exchange that does not wait for the next request."""

    CLOSE = "close"
    """In order: what was written arrives, then TLS and TCP are closed."""
    CUT = "cut"
    """TCP is closed without a close_notify of TLS, as when a process dies."""
    RESET = "reset"
    """TCP reset."""
    HANG = "hang"
    """Nothing more, and the connection stays open."""


Step = bytes | float | Ending
Steps = Iterator[Step]
"""Bytes are sent, a float is a pause in seconds, an `Ending` is the last step."""


class MalformedRequestError(Exception):
    """The request is not HTTP/1.1, or is too long."""


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def endpoint(self) -> str:
        """The path below ``/api/``, or the whole path where it is elsewhere. The query stays out."""
        path = self.path.partition("?")[0]
        return path[5:] if path.startswith("/api/") else path

    @property
    def keeps_alive(self) -> bool:
        """Return True if the connection stays open after the answer."""
        return "close" not in self.headers.get("connection", "").lower()


def parse(buffer: bytearray) -> ClientRequest | None:
    """Take one request off the front of ``buffer``; None where it is not whole yet. Raises MalformedRequestError."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > MAX_HEAD:
            raise MalformedRequestError("the head does not end")
        return None
    lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise MalformedRequestError("not an HTTP/1 request line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise MalformedRequestError("a header line without a colon")
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_HEAD or "transfer-encoding" in headers:
        raise MalformedRequestError("a body of unknown or excessive length")
    total = end + 4 + int(length)
    if len(buffer) < total:
        return None
    body = bytes(buffer[end + 4 : total])
    del buffer[:total]
    return ClientRequest(words[0], words[1], headers, body)


def head(answer: SimulatedAnswer, length: int | None = None) -> bytes:
    """The head of ``answer`` as a gateway writes it. ``length`` stands in for the true Content-Length."""
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {phrase}", "cache-control: no-cache, no-store"]
    if answer.content_type is not None:
        lines += [f"content-type: {answer.content_type}", "x-content-type-options: nosniff"]
    lines.append(f"content-length: {len(answer.body) if length is None else length}")
    lines.append(f"date: {formatdate(time.time(), usegmt=True)}")
    lines += [f"{name}: {value}" for name, value in answer.headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def plain(answer: SimulatedAnswer) -> Steps:
    """The steps of an answer that nothing is wrong with."""
    if answer.delay:
        yield answer.delay
    yield head(answer) + answer.body
