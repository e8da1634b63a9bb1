"""The parts of a fetch: what is asked, under which limits, one request on one connection, what became of it."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from probe_exporter.config import Module
from probe_exporter.errors import DeadlineError, GatewayError
from probe_exporter.gateway.endpoints import Endpoint
from probe_exporter.gateway.transport import Connection
from probe_exporter.gateway.wire import AnswerReader, HttpAnswer
from probe_exporter.secrets import Secret

Trace = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how wide one fetch may be. ``deadline`` is in seconds of `time.monotonic`."""

    deadline: float
    request_timeout: float
    connect_timeout: float
    retry_interval: float
    retry_timeout: float
    max_connections: int

    @classmethod
    def of(cls, module: Module, deadline: float) -> Limits:
        """The limits that a module sets, under a deadline."""
        return cls(
            deadline,
            module.request_timeout,
            module.connect_timeout,
            module.retry_interval,
            module.retry_timeout,
            module.max_connections,
        )


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one endpoint: a document, or an error. ``read_at`` is in Unix seconds.

    ``duration`` is in seconds, None where no request was sent.
    """

    endpoint: Endpoint
    document: object = None
    error: GatewayError | None = None
    duration: float | None = None
    read_at: float = 0.0
    answer: HttpAnswer | None = None


@dataclass(slots=True)
class Task:
    """One endpoint still to read. ``repeated`` after a renewal of the session, ``revived`` after a dead connection."""

    endpoint: Endpoint
    repeated: bool = False
    revived: bool = False


@dataclass(slots=True)
class Exchange:
    """One request under way on one connection."""

    task: Task
    connection: Connection
    started: float
    deadline: float
    token: Secret | None
    reader: AnswerReader = field(default_factory=AnswerReader)
    error: GatewayError | None = None

    @property
    def reusable(self) -> bool:
        """Whether it ended so well that its connection may carry the next request."""
        return self.error is None and self.reader.answer is not None and self.reader.answer.reusable


def ask_once(connection: Connection, data: bytes, deadline: float) -> HttpAnswer:
    """Send one request and wait for its answer. Raises ConnectError, DeadlineError or DecodeError."""
    connection.send(data, deadline)
    reader = AnswerReader()
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    while reader.answer is None:
        received = connection.receive()
        if received is not None:
            reader.feed(received)
        left = deadline - time.monotonic()
        if reader.answer is None and (left <= 0.0 or (received is None and not poller.poll(left * 1000))):
            raise DeadlineError("the gateway did not answer in time")
    return reader.answer
