"""One gateway, asked for several endpoints under one deadline.

`Gateway.fetch` drives up to ``max_connections`` kept-alive connections from the calling thread: as soon as an answer
is whole, its connection carries the next request, and only then is the answer decoded.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from probe_exporter.clock import Clock, SystemClock
from probe_exporter.config import GatewayConfig, Module
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
from probe_exporter.gateway.login import Login, status_error
from probe_exporter.gateway.transport import Connection, Dialler, connect
from probe_exporter.gateway.wire import Answer, AnswerReader, request
from probe_exporter.readings.payload import decode
from probe_exporter.secrets import Secret
from probe_exporter.telemetry import Telemetry

PUBLIC: Final = frozenset({"status", "customer/registration"})
"""Endpoints that most firmware answers without a session."""

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
    answer: Answer | None = None


@dataclass(slots=True)
class _Task:
    """One endpoint still to read. ``repeated`` after a renewal of the session, ``revived`` after a dead connection."""

    endpoint: Endpoint
    repeated: bool = False
    revived: bool = False


@dataclass(slots=True)
class _Exchange:
    """One request under way on one connection."""

    task: _Task
    connection: Connection
    started: float
    deadline: float
    token: Secret | None
    reader: AnswerReader = field(default_factory=AnswerReader)
    error: GatewayError | None = None


class Gateway:
    """The long-lived client of one gateway: its idle connections and its session."""

    def __init__(
        self, config: GatewayConfig, telemetry: Telemetry, clock: Clock | None = None, login: Login | None = None
    ) -> None:
        self.config = config
        self.telemetry = telemetry
        self.clock = clock or SystemClock()
        self.login = login or Login(config, self.clock)
        self.certificate: bytes | None = None
        self.dialler = Dialler(config)
        self._idle: list[Connection] = []
        self._closed = False

    def fetch(self, endpoints: Iterable[Endpoint], limits: Limits, trace: Trace) -> Iterator[Fetched]:
        """Ask for ``endpoints`` and yield each as it comes, in no particular order.

        Raises the GatewayError that ended the fetch as a whole: no connection, or another certificate than the
        pinned one. One fetch at a time: the caller sees to it.
        """
        conversation = _Conversation(self, limits, trace, self._idle)
        self._idle = []
        try:
            yield from conversation.run(endpoints)
        finally:
            self._idle = conversation.close()
            if self._closed:
                self._drop_idle()

    def close(self) -> None:
        """Close idle connections now, and those of a running fetch when it ends."""
        self._closed = True
        self._drop_idle()

    def _drop_idle(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle = []


class _Conversation:
    """One fetch: the tasks that wait, the exchanges under way, the connections at rest."""

    def __init__(self, gateway: Gateway, limits: Limits, trace: Trace, idle: list[Connection]) -> None:
        self._gateway = gateway
        self._login = gateway.login
        self._limits = limits
        self._trace = trace
        self._idle = idle
        self._width = limits.max_connections
        self._waiting: deque[_Task] = deque()
        self._active: dict[int, _Exchange] = {}
        self._poller = select.poll()
        self._login_error: GatewayError | None = None
        self._over: list[Fetched] = []
        self._doubtful: list[Fetched] = []

    def run(self, endpoints: Iterable[Endpoint]) -> Iterator[Fetched]:
        self._waiting.extend(_Task(endpoint) for endpoint in endpoints)
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
        connection = self._gateway.dialler.dial_patiently(
            limits.connect_timeout,
            limits.deadline,
            limits.retry_interval,
            0.0 if self._active else limits.retry_timeout,
            self._gateway.telemetry.retries.inc,
        )
        self._gateway.certificate = connection.certificate
        self._trace(f"connected to {connection.address.text} in {time.monotonic() - started:.3f} s")
        return connection

    def _release(self, exchange: _Exchange) -> None:
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
            except (ConnectError, TlsError):
                if not self._active:
                    raise
                self._width = len(self._active)
                self._waiting.appendleft(task)
                return
            self._send(task, connection, self._share(task, time.monotonic()))

    def _share(self, task: _Task, now: float) -> float:
        """Until when this request may take: its part of the time left, counted among its own kind first.

        Core endpoints share what is left among themselves, because they go first.
        """
        rivals = 1 + sum(other.endpoint.core or not task.endpoint.core for other in self._waiting)
        rounds = -(-rivals // self._width)
        return now + min(self._limits.request_timeout, (self._limits.deadline - now) / rounds)

    def _send(self, task: _Task, connection: Connection, deadline: float) -> None:
        endpoint = task.endpoint
        exchange = _Exchange(task, connection, time.monotonic(), deadline, self._login.state.token)
        data = request("GET", f"/api/{endpoint.name}", connection.host_header, self._login.headers())
        self._gateway.telemetry.gateway_requests.inc()
        try:
            connection.send(data, deadline)
        except GatewayError as error:
            connection.close()
            if isinstance(error, ConnectError) and self._revive(task, connection):
                return
            self._gateway.telemetry.count_request_failure(error.reason)
            self._over.append(Fetched(endpoint, error=error, duration=time.monotonic() - exchange.started))
            return
        descriptor = connection.fileno()
        self._active[descriptor] = exchange
        self._poller.register(descriptor, select.POLLIN)

    def _revive(self, task: _Task, connection: Connection) -> bool:
        """Whether a request that failed on a reused connection before a byte arrived is asked once more."""
        if not connection.used or task.revived:
            return False
        task.revived = True
        self._waiting.appendleft(task)
        return True

    def _give_up(self, task: _Task, error: GatewayError) -> None:
        self._over.append(Fetched(task.endpoint, error=error))

    def _drain_over(self) -> Iterator[Fetched]:
        over, self._over = self._over, []
        for fetched in over:
            self._tell(fetched)
            yield fetched

    def _wait(self) -> list[_Exchange]:
        """Read what arrives until an exchange ends, well or badly; the ended ones, off the list of active ones."""
        nearest = min(exchange.deadline for exchange in self._active.values())
        events = self._poller.poll(max(0.0, nearest - time.monotonic()) * 1000)
        ended = [
            exchange for descriptor, _ in events if self._read(exchange := self._active[descriptor])
        ]
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

    def _lost(self, exchange: _Exchange) -> bool:
        return (
            isinstance(exchange.error, ConnectError)
            and exchange.reader.untouched
            and self._revive(exchange.task, exchange.connection)
        )

    @staticmethod
    def _read(exchange: _Exchange) -> bool:
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
        telemetry = self._gateway.telemetry
        deadline = min(self._limits.deadline, time.monotonic() + self._limits.request_timeout)
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
            answer = _exchange(connection, data, deadline)
            reusable = answer.reusable
            self._login.finish(answer)
        except GatewayError as error:
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

    def _settle_refusals(self, ended: list[_Exchange]) -> None:
        """For each 401 and 403: renew the session where the rules allow it, and ask that endpoint once more."""
        for exchange in list(ended):
            answer = exchange.reader.answer
            if answer is None or answer.status not in (401, 403):
                continue
            if self._ask_again(exchange, answer.status):
                ended.remove(exchange)

    def _ask_again(self, exchange: _Exchange, status: int) -> bool:
        task, state = exchange.task, self._login.state
        if exchange.token is not None and exchange.token is state.token and status == 401 and not state.accepted:
            self._doubt(exchange)
            return False
        if task.repeated or self._login_error is not None:
            return False
        if exchange.token is state.token and not self._renew(exchange, status):
            return False
        task.repeated = True
        self._waiting.appendleft(task)
        return True

    def _doubt(self, exchange: _Exchange) -> None:
        """The session that a login has just given is refused: twice, and the login was none."""
        if self._login.doubt(exchange.task.repeated):
            self._gateway.telemetry.count_login_failure(AuthError.reason)
            self._login_error = AuthError("the gateway refuses the session that it has just given (401)")
            exchange.error = self._login_error

    def _renew(self, exchange: _Exchange, status: int) -> bool:
        """Log in anew where the rules allow it; whether there is a new session."""
        state = self._login.state
        if not self._login.has_password or not self._login.may_renew(status, exchange.token):
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

    def _judge(self, exchange: _Exchange) -> Iterator[Fetched]:
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

    def _verdict(self, exchange: _Exchange) -> Fetched:
        endpoint = exchange.task.endpoint
        answer = exchange.reader.answer
        try:
            document = self._document(exchange)
        except GatewayError as error:
            self._gateway.telemetry.count_request_failure(error.reason)
            return self._fetched(exchange, None, error, answer)
        if exchange.token is not None and endpoint.name not in PUBLIC:
            self._login.accept()
        return self._fetched(exchange, document, None, answer)

    def _document(self, exchange: _Exchange) -> object:
        """The JSON of an answer. Raises what the answer means where there is none."""
        answer = exchange.reader.answer
        if exchange.error is not None:
            raise exchange.error
        if answer is None:
            raise ConnectError("the answer was cut short")
        if answer.status in (401, 403):
            raise _refusal(self._login, answer.status, exchange.token)
        if answer.status != 200:
            raise status_error(answer, f"/api/{exchange.task.endpoint.name}")
        return decode(answer.body)

    def _fetched(
        self, exchange: _Exchange, document: object, error: GatewayError | None, answer: Answer | None
    ) -> Fetched:
        duration = time.monotonic() - exchange.started
        return Fetched(exchange.task.endpoint, document, error, duration, self._gateway.clock.time(), answer)

    def _tell(self, fetched: Fetched) -> None:
        took = "not asked" if fetched.duration is None else f"{fetched.duration:.3f} s"
        what = "answered" if fetched.error is None else f"{fetched.error.reason}: {fetched.error}"
        self._trace(f"{fetched.endpoint.name} ({took}): {what}")


def _refusal(login: Login, status: int, token: Secret | None) -> AuthError:
    """What a 401 or 403 means that no login could mend."""
    if token is None and not login.has_password:
        return AuthError(f"it needs a login ({status}), but no login_password is configured")
    if status == 403 and token is not None:
        return ForbiddenError("the session of an owner may not read it (403)")
    return AuthError(f"the gateway refused the session ({status})")


def _exchange(connection: Connection, data: bytes, deadline: float) -> Answer:
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


def fetch_certificate(config: GatewayConfig, timeout: float) -> bytes:
    """The certificate that a gateway shows, DER, without any validation. ``timeout`` in seconds, an address.

    Raises ConnectError or TlsError of the last address tried.
    """
    error: GatewayError = ConnectError(f"{config.name} has no address")
    for address in config.addresses:
        try:
            connection = connect(address, timeout)
        except (ConnectError, TlsError) as failure:
            error = failure
            continue
        connection.close()
        return connection.certificate
    raise error
