"""One fetch: several endpoints of one gateway under one deadline, over a few connections, in one thread.

As soon as an answer is whole, its connection carries the next request, and only then is the answer decoded.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

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
from probe_exporter.gateway import login as login_rules
from probe_exporter.gateway.endpoints import Endpoint
from probe_exporter.gateway.exchange import PUBLIC, Exchange, Fetched, Limits, Task, Trace, ask_once, refusal
from probe_exporter.gateway.login import Login, status_error
from probe_exporter.gateway.transport import Connection, Dialler
from probe_exporter.gateway.wire import Answer, request
from probe_exporter.readings.payload import decode
from probe_exporter.telemetry import Telemetry

LEAST_FOR_A_LOGIN: Final = 0.4
"""Seconds left without which no login is begun: it would count as the minute's, and come to nothing."""


class Conversation:
    """One fetch: the tasks that wait, the exchanges under way, the connections at rest."""

    def __init__(
        self,
        dialler: Dialler,
        login: Login,
        telemetry: Telemetry,
        clock: Clock,
        limits: Limits,
        trace: Trace,
        idle: list[Connection],
    ) -> None:
        self._dialler = dialler
        self._login = login
        self._telemetry = telemetry
        self._clock = clock
        self._limits = limits
        self._trace = trace
        self._idle = idle
        self._width = limits.max_connections
        self._waiting: deque[Task] = deque()
        self._active: dict[int, Exchange] = {}
        self._poller = select.poll()
        self._login_error: GatewayError | None = None
        self._over: list[Fetched] = []
        self._doubtful: list[Fetched] = []

    def run(self, endpoints: Iterable[Endpoint]) -> Iterator[Fetched]:
        """Ask for ``endpoints``, yield each as it comes. Raises what ends the fetch as a whole."""
        self._waiting.extend(Task(endpoint) for endpoint in endpoints)
        if not self._waiting:
            return
        self._ensure_session()
        while self._waiting or self._active:
            self._dispatch()
            yield from self._drain_over()
            ended = self._wait() if self._active else []
            self._settle_refusals(ended)
            self._dispatch()
            yield from self._drain_over()
            for exchange in ended:
                yield from self._judge(exchange)
        yield from self._doubtful

    def close(self) -> list[Connection]:
        """End what is still under way; the connections that may be used again."""
        for exchange in self._active.values():
            exchange.connection.close()
        self._active.clear()
        return self._idle

    # Connections

    def _acquire(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.stale:
                return connection
            connection.close()
        return self._dial()

    def _dial(self) -> Connection:
        limits = self._limits
        started = time.monotonic()
        connection = self._dialler.dial_patiently(
            limits.connect_timeout,
            limits.deadline,
            limits.retry_interval,
            0.0 if self._active else limits.retry_timeout,
            self._telemetry.retries.inc,
        )
        self._trace(f"connected to {connection.address.text} in {time.monotonic() - started:.3f} s")
        return connection

    def _release(self, exchange: Exchange) -> None:
        connection = exchange.connection
        answer = exchange.reader.answer
        if exchange.error is None and answer is not None and answer.reusable:
            connection.used = True
            self._idle.append(connection)
        else:
            connection.close()

    # Requests

    def _dispatch(self) -> None:
        """Send as many of the waiting requests as there is room for. Raises what ends the fetch as a whole."""
        while self._waiting and len(self._active) < self._width:
            task = self._waiting.popleft()
            now = time.monotonic()
            if now >= self._limits.deadline:
                self._give_up(task, DeadlineError("the probe's time was over before this endpoint's turn"))
                continue
            if self._login_error is not None and task.endpoint.name not in PUBLIC:
                self._give_up(task, self._login_error)
                continue
            try:
                connection = self._acquire()
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
        exchange = Exchange(task, connection, time.monotonic(), deadline, self._login.state.token)
        data = request("GET", f"/api/{endpoint.name}", connection.host_header, self._login.headers())
        self._telemetry.gateway_requests.inc()
        try:
            connection.send(data, deadline)
        except GatewayError as error:
            connection.close()
            if isinstance(error, ConnectError) and self._revive(task, connection):
                return
            self._telemetry.count_request_failure(error.reason)
            self._over.append(Fetched(endpoint, error=error, duration=time.monotonic() - exchange.started))
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
        ended = [exchange for descriptor, _ in events if self._read(exchange := self._active[descriptor])]
        if not ended:
            now = time.monotonic()
            for exchange in self._active.values():
                if now >= exchange.deadline:
                    exchange.error = DeadlineError(f"no whole answer within {now - exchange.started:.3g} s")
                    ended.append(exchange)
        for exchange in ended:
            descriptor = exchange.connection.fileno()
            self._poller.unregister(descriptor)
            del self._active[descriptor]
        revived = [exchange for exchange in ended if self._lost(exchange)]
        kept = [exchange for exchange in ended if exchange not in revived]
        for exchange in ended:
            self._release(exchange)
        return kept

    def _lost(self, exchange: Exchange) -> bool:
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
            exchange.error = error
            return True
        return False

    # Session

    def _ensure_session(self) -> None:
        state = self._login.state
        if state.token is not None or state.open or not self._login.has_password:
            return
        self._try_login()

    def _try_login(self) -> None:
        """Log in, or note why not: then protected endpoints fail with that error, without a request.

        Raises what ends the fetch as a whole.
        """
        try:
            self._login.check_allowed()
            if self._limits.deadline - time.monotonic() < LEAST_FOR_A_LOGIN:
                raise DeadlineError("there was too little time left for a login")
        except GatewayError as error:
            self._no_session(error)
            return
        connection = self._acquire()
        try:
            self._log_in(connection)
        except GatewayError as error:
            self._no_session(error)

    def _no_session(self, error: GatewayError) -> None:
        if self._login.state.open:
            self._trace("this gateway has no login: going on without a session")
            return
        self._login_error = error
        self._trace(f"no session: {error}")

    def _log_in(self, connection: Connection) -> None:
        """One login on one connection. The POST is never repeated once a byte was sent."""
        telemetry = self._telemetry
        now = time.monotonic()
        # A quarter of the time is kept for what needs no session: a login that hangs must not cost that as well.
        deadline = now + min(self._limits.request_timeout, (self._limits.deadline - now) * 0.75)
        data = request(
            "POST",
            login_rules.PATH,
            connection.host_header,
            b"Content-Type: application/json\r\n",
            self._login.body(),
        )
        self._login.begin()
        telemetry.logins.inc()
        telemetry.gateway_requests.inc()
        started = time.monotonic()
        reusable = False
        try:
            answer = ask_once(connection, data, deadline)
            reusable = answer.reusable
            self._login.finish(answer)
        except GatewayError as error:
            self._login.fail(error)
            telemetry.count_login_failure(error.reason)
            telemetry.count_request_failure(error.reason)
            raise
        finally:
            self._put_back(connection, reusable)
        self._trace(f"logged in in {time.monotonic() - started:.3f} s")

    def _put_back(self, connection: Connection, reusable: bool) -> None:
        if reusable:
            connection.used = True
            self._idle.append(connection)
        else:
            connection.close()

    def _settle_refusals(self, ended: list[Exchange]) -> None:
        """For each 401 and 403: renew the session where the rules allow it, and ask that endpoint once more."""
        for exchange in list(ended):
            answer = exchange.reader.answer
            if answer is None or answer.status not in (401, 403):
                continue
            if self._ask_again(exchange, answer.status):
                ended.remove(exchange)

    def _ask_again(self, exchange: Exchange, status: int) -> bool:
        task, state = exchange.task, self._login.state
        current = exchange.token is not None and exchange.token is state.token
        if current and task.repeated:
            self._login.suspect(task.endpoint.name)
        if current and status == 401 and not state.accepted:
            self._doubt(exchange)
            return False
        if task.repeated or self._login_error is not None:
            return False
        if exchange.token is state.token and not self._renew(exchange, status):
            return False
        task.repeated = True
        self._waiting.appendleft(task)
        return True

    def _doubt(self, exchange: Exchange) -> None:
        """The session that a login has just given is refused: by a second endpoint, and the login was none."""
        if self._login.doubt(exchange.task.endpoint.name):
            self._telemetry.count_login_failure(AuthError.reason)
            self._login_error = AuthError("the gateway refuses the session that it has just given (401)")
            exchange.error = self._login_error

    def _renew(self, exchange: Exchange, status: int) -> bool:
        """Log in anew where the rules allow it; whether there is a new session."""
        state = self._login.state
        name = exchange.task.endpoint.name
        if not self._login.has_password or not self._login.may_renew(status, exchange.token, name):
            return False
        self._trace(f"{exchange.task.endpoint.name}: {status}, the session is over")
        previous, state.token = state.token, None
        state.open = False
        self._try_login()
        if state.token is not None:
            return True
        exchange.error = self._login_error
        if not self._login.resting_refused:
            # The old token may still be good for everything but this endpoint.
            state.token, self._login_error = previous, None
        return False

    # Answers

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
        if fetched.error is None and exchange.token is not None and fetched.endpoint.name not in PUBLIC:
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
            return self._fetched(exchange, None, error, answer)
        if exchange.token is not None and endpoint.name not in PUBLIC:
            self._login.accept()
        return self._fetched(exchange, document, None, answer)

    def _document(self, exchange: Exchange) -> object:
        """The JSON of an answer. Raises what the answer means where there is none."""
        answer = exchange.reader.answer
        if exchange.error is not None:
            raise exchange.error
        if answer is None:
            raise ConnectError("the answer was cut short")
        if answer.status in (401, 403):
            raise refusal(self._login, answer.status, exchange.token)
        if answer.status != 200:
            raise status_error(answer, f"/api/{exchange.task.endpoint.name}")
        return decode(answer.body)

    def _fetched(
        self, exchange: Exchange, document: object, error: GatewayError | None, answer: Answer | None
    ) -> Fetched:
        duration = time.monotonic() - exchange.started
        return Fetched(exchange.task.endpoint, document, error, duration, self._clock.time(), answer)

    def _tell(self, fetched: Fetched) -> None:
        took = "not asked" if fetched.duration is None else f"{fetched.duration:.3f} s"
        what = "answered" if fetched.error is None else f"{fetched.error.reason}: {fetched.error}"
        self._trace(f"{fetched.endpoint.name} ({took}): {what}")
