"""The parts of a fetch: the demand and its limits, one request on one connection, and the result."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from probe_exporter.errors import ConnectError, DecodeError, GatewayError
from probe_exporter.gateway.endpoints import Endpoint
from probe_exporter.gateway.transport import Connection
from probe_exporter.gateway.wire import AnswerReader, HttpAnswer
from probe_exporter.secrets import Secret


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for the clients that wait now. Times are in seconds of `time.monotonic`, durations in seconds.

    ``deadline`` is when the last of them leaves. From ``public_from`` on public endpoints are asked while a login is
    under way. A connection that cannot be made is tried again until ``retry_until``.
    """

    deadline: float
    public_from: float
    retry_until: float
    request_timeout: float
    connect_timeout: float
    retry_interval: float
    max_connections: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of a request to an endpoint: a document, or an error. ``read_at`` is in Unix seconds.

    ``duration`` is in seconds, None where no request was sent.
    """

    endpoint: Endpoint
    document: object = None
    error: GatewayError | None = None
    duration: float | None = None
    read_at: float = 0.0
    answer: HttpAnswer | None = None


class Demand(Protocol):
    """The purpose of a fetch: it chooses the endpoints and the time limit, and takes the answers."""

    def limits(self) -> Limits | None:
        """Return the limits for the clients that wait now, None if there are none."""
        ...

    def next(self, public_only: bool, hung_under_way: bool) -> Endpoint | None:
        """Return the endpoint to ask now, None if there is none."""
        ...

    def asked(self, endpoint: Endpoint) -> None:
        """Note that the endpoint which `next` gave is being asked."""
        ...

    def hung(self, endpoint: Endpoint) -> bool:
        """Return True if the last request of this endpoint was not answered."""
        ...

    def take(self, fetched: Fetched) -> None:
        """Take the result for an endpoint."""
        ...

    def fail(self, error: GatewayError) -> None:
        """Take the error because of which those who wait get nothing: there is no connection."""
        ...

    def end_if_idle(self) -> bool:
        """End the demand if no client waits; the next client then begins another one. Return True if it ended."""
        ...

    def trace(self, step: str) -> None:
        """Note a step for the log of the probe."""
        ...


class Watch(Protocol):
    """The means by which a fetch is notified of arriving data: a thread that polls, or an event loop."""

    def add(self, descriptor: int) -> None:
        """Give the fetch a turn when there is something to read from ``descriptor``."""
        ...

    def remove(self, descriptor: int) -> None:
        """Stop looking at ``descriptor``. It may be closed already."""
        ...

    def wake(self) -> None:
        """Give the fetch a turn soon. Called in any thread."""
        ...


@dataclass(frozen=True, slots=True)
class Asking:
    """An endpoint to request, for the first time or once more: see `Exchange`."""

    endpoint: Endpoint
    repeated: bool = False
    revived: bool = False


@dataclass(slots=True, eq=False)
class Exchange:
    """A request under way on a connection; ``endpoint`` is None for a login.

    ``repeated`` is true after a renewal of the session, ``revived`` after a dead connection. ``sent`` is false while a
    login waits for its record.
    """

    endpoint: Endpoint | None
    connection: Connection
    deadline: float
    token: Secret | None
    started: float = field(default_factory=time.monotonic)
    repeated: bool = False
    revived: bool = False
    reader: AnswerReader = field(default_factory=AnswerReader)
    error: GatewayError | None = None
    sent: bool = False
    out_of_step: bool = False
    doubtful: bool = False

    @property
    def reusable(self) -> bool:
        """Return True if it ended so well that its connection may carry the next request.

        After a 404 it does not: a late second copy of it would hide another endpoint for an hour.
        """
        answer = self.reader.answer
        if self.error is not None or answer is None:
            return False
        return answer.reusable and answer.status != 404 and not self.doubtful

    @property
    def lost(self) -> bool:
        """Return True if a reused connection died before a byte of the answer, or is out of step.

        The request is then retried once.
        """
        if self.revived or not self.connection.used:
            return False
        return self.out_of_step or (isinstance(self.error, ConnectError) and self.reader.untouched)

    def check_step(self) -> None:
        """Fail where what arrived on a used connection may belong to an earlier question.

        On a connection that is out of step a gateway sends a late second copy of an answer, an empty line, or a 408.
        Refusals and pages are the same for every path, so that two in a row prove nothing.
        """
        connection, answer = self.connection, self.reader.answer
        self.doubtful = self.error is None and connection.stale
        if not connection.used:
            return
        if answer is None:
            self.out_of_step = isinstance(self.error, DecodeError) and self.reader.in_head
            return
        question, before = connection.last
        again = before is not None and telltale(answer) == before
        copy = again and self.endpoint is not question
        self.out_of_step = copy or answer.status == 408 or self.reader.surplus or self.doubtful
        self.doubtful |= again  # the same answer to the same question, but perhaps not to this one
        if self.out_of_step:
            self.error = ConnectError("the gateway sent more on a connection than was requested")


def telltale(answer: HttpAnswer | None) -> int | None:
    """Return a mark by which a second copy of a JSON document is known, None for any other answer."""
    if answer is None or answer.status != 200 or answer.body[:1] not in (b"{", b"["):
        return None
    return hash(answer.body)
