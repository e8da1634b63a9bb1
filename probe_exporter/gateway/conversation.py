"""One fetch: several endpoints of one gateway under one deadline, over a few connections, in one thread.

As soon as an answer is whole, its connection carries the next request, and only then is the answer decoded.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from probe_exporter.clock import Clock
from probe_exporter.errors import (
    AuthError,
    ConnectError,
    DeadlineError,
    ForbiddenError,
    GatewayError,
    PinError,
    TlsError,
)
from probe_exporter.gateway.endpoints import Endpoint
from probe_exporter.gateway.exchange import Exchange, Fetched, Limits, Task, Trace
from probe_exporter.gateway.login import status_error
from probe_exporter.gateway.pool import Connections
from probe_exporter.gateway.session import Session
from probe_exporter.gateway.transport import Connection
from probe_exporter.gateway.wire import HttpAnswer, request
from probe_exporter.readings.payload import decode
from probe_exporter.telemetry import Telemetry


class Conversation:
    """One fetch: the tasks that wait and the exchanges under way."""

    def __init__(
        self,
        connections: Connections,
        session: Session,
        telemetry: Telemetry,
        clock: Clock,
        limits: Limits,
        trace: Trace,
    ) -> None:
        self._connections = connections
        self._session = session
        self._telemetry = telemetry
        self._clock = clock
        self._limits = limits
        self._trace = trace
        self._width = limits.max_connections
        self._waiting: deque[Task] = deque()
        self._active: dict[int, Exchange] = {}
        self._poller = select.poll()
        self._over: list[Fetched] = []
        self._doubtful: list[Fetched] = []

    def run(self, endpoints: Iterable[Endpoint]) -> Iterator[Fetched]:
        """Ask for ``endpoints``, yield each as it comes. Raises what ends the fetch as a whole."""
        self._waiting.extend(Task(endpoint) for endpoint in endpoints)
        if not self._waiting:
            return
        self._session.ensure()
        while self._waiting or self._active:
            self._dispatch()
            yield from self._drain_over()
            ended = self._wait() if self._active else []
            self._ask_refused_again(ended)
            self._dispatch()
            yield from self._drain_over()
            for exchange in ended:
                yield from self._judge(exchange)
        yield from self._doubtful

    def close(self) -> None:
        """End what is still under way."""
        for exchange in self._active.values():
            exchange.connection.close()
        self._active.clear()

    # Requests

    def _dispatch(self) -> None:
        """Send as many of the waiting requests as there is room for. Raises what ends the fetch as a whole."""
        while self._waiting and len(self._active) < self._width:
            task = self._waiting.popleft()
            now = time.monotonic()
            if now >= self._limits.deadline:
                self._give_up(task, DeadlineError("the probe's time was over before this endpoint's turn"))
                continue
            if self._session.error is not None and not task.endpoint.public:
                self._give_up(task, self._session.error)
                continue
            try:
                connection = self._connections.acquire(patient=not self._active)
            except PinError:
                raise
            except (ConnectError, TlsError, DeadlineError):
                if not self._active:
                    raise
                self._width = len(self._active)
                self._waiting.appendleft(task)
                return
            self._send(task, connection, self._share(task, time.monotonic()))

    def _share(self, task: Task, now: float) -> float:
        """Until when this request may take: half of the time left, all of it where nobody of its kind waits behind.

        So a hang leaves the others as much time as it took. Equal parts would be too small for a gateway that takes
        seconds for every answer: none would arrive, instead of the first few. Core endpoints go first.
        """
        waiting = any(other.endpoint.core or not task.endpoint.core for other in self._waiting)
        left = self._limits.deadline - now
        return now + min(self._limits.request_timeout, left / 2.0 if waiting else left)

    def _send(self, task: Task, connection: Connection, deadline: float) -> None:
        endpoint = task.endpoint
        exchange = Exchange(task, connection, time.monotonic(), deadline, self._session.token)
        data = request("GET", f"/api/{endpoint.name}", connection.host_header, self._session.headers())
        self._telemetry.gateway_requests.inc()
        try:
            connection.send(data, deadline)
        except GatewayError as error:
            connection.close()
            if isinstance(error, ConnectError) and self._revive(task, connection):
                return
            self._telemetry.count_request_failure(error.reason)
            duration = time.monotonic() - exchange.started
            self._over.append(Fetched(endpoint, error=error.as_value(), duration=duration))
            return
        descriptor = connection.fileno()
        self._active[descriptor] = exchange
        self._poller.register(descriptor, select.POLLIN)

    def _revive(self, task: Task, connection: Connection) -> bool:
        """Whether a request that failed on a reused connection before a byte arrived is asked once more."""
        if not connection.used or task.revived:
            return False
        task.revived = True
        self._waiting.appendleft(task)
        return True

    def _give_up(self, task: Task, error: GatewayError) -> None:
        self._over.append(Fetched(task.endpoint, error=error))

    def _drain_over(self) -> Iterator[Fetched]:
        over, self._over = self._over, []
        for fetched in over:
            self._tell(fetched)
            yield fetched

    def _wait(self) -> list[Exchange]:
        """Read what arrives until an exchange ends, well or badly; the ended ones, off the list of active ones."""
        nearest = min(exchange.deadline for exchange in self._active.values())
        events = self._poller.poll(max(0.0, nearest - time.monotonic()) * 1000)
        ready = [self._active[descriptor] for descriptor, _ in events]
        ended = [exchange for exchange in ready if self._read(exchange)]
        if not ended:
            now = time.monotonic()
            for exchange in self._active.values():
                if now >= exchange.deadline:
                    exchange.error = DeadlineError(f"no whole answer within {now - exchange.started:.3g} s")
                    ended.append(exchange)
        kept = []
        for exchange in ended:
            descriptor = exchange.connection.fileno()
            self._poller.unregister(descriptor)
            del self._active[descriptor]
            if not self._asked_again(exchange):
                kept.append(exchange)
            self._connections.put_back(exchange.connection, exchange.reusable)
        return kept

    def _asked_again(self, exchange: Exchange) -> bool:
        """Put the task of a connection that died untouched back in line; whether that was so."""
        return (
            isinstance(exchange.error, ConnectError)
            and exchange.reader.untouched
            and self._revive(exchange.task, exchange.connection)
        )

    @staticmethod
    def _read(exchange: Exchange) -> bool:
        """Take what has arrived for an exchange; whether it ended."""
        try:
            while (data := exchange.connection.receive()) is not None:
                exchange.reader.feed(data)
                if exchange.reader.answer is not None:
                    return True
                if time.monotonic() >= exchange.deadline:
                    return False
        except GatewayError as error:
            exchange.error = error.as_value()
            return True
        return False

    # Answers

    def _ask_refused_again(self, ended: list[Exchange]) -> None:
        """Take those 401 and 403 off the list whose endpoint is asked once more, under a new session."""
        for exchange in list(ended):
            answer = exchange.reader.answer
            if answer is None or answer.status not in (401, 403):
                continue
            if self._session.renewed_for(exchange, answer.status, patient=not self._active):
                exchange.task.repeated = True
                self._waiting.appendleft(exchange.task)
                ended.remove(exchange)

    def _judge(self, exchange: Exchange) -> Iterator[Fetched]:
        """The verdict on an ended exchange, decoded only now that its connection is at work again.

        A 403 waits for a later answer to prove the session alive: then the endpoint is forbidden, and rests. If
        nothing does, the session may have died, and the next probe finds out.
        """
        fetched = self._verdict(exchange)
        self._tell(fetched)
        if isinstance(fetched.error, ForbiddenError) and not exchange.task.repeated:
            self._doubtful.append(replace(fetched, error=AuthError(str(fetched.error))))
            return
        yield fetched
        if fetched.error is None and exchange.token is not None and not fetched.endpoint.public:
            for doubtful in self._doubtful:
                yield replace(doubtful, error=ForbiddenError(str(doubtful.error)))
            self._doubtful = []

    def _verdict(self, exchange: Exchange) -> Fetched:
        endpoint = exchange.task.endpoint
        answer = exchange.reader.answer
        try:
            document = self._document(exchange)
        except GatewayError as error:
            self._telemetry.count_request_failure(error.reason)
            return self._fetched(exchange, None, error.as_value(), answer)
        if exchange.token is not None and not endpoint.public:
            self._session.accept()
        return self._fetched(exchange, document, None, answer)

    def _document(self, exchange: Exchange) -> object:
        """The JSON of an answer. Raises what the answer means where there is none."""
        answer = exchange.reader.answer
        if exchange.error is not None:
            raise exchange.error
        if answer is None:
            raise ConnectError("the answer was cut short")
        if answer.status in (401, 403):
            raise self._session.refusal(answer.status, exchange.token)
        if answer.status != 200:
            raise status_error(answer, f"/api/{exchange.task.endpoint.name}")
        return decode(answer.body)

    def _fetched(
        self, exchange: Exchange, document: object, error: GatewayError | None, answer: HttpAnswer | None
    ) -> Fetched:
        duration = time.monotonic() - exchange.started
        return Fetched(exchange.task.endpoint, document, error, duration, self._clock.time(), answer)

    def _tell(self, fetched: Fetched) -> None:
        took = "not asked" if fetched.duration is None else f"{fetched.duration:.3f} s"
        what = "answered" if fetched.error is None else f"{fetched.error.reason}: {fetched.error}"
        self._trace(f"{fetched.endpoint.name} ({took}): {what}")
