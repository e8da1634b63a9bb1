"""A fetch: endpoints of one gateway over a few connections, a turn at a time.

It moves bytes and watches the clock. The demand decides what is asked. The dialect of the endpoint makes the request
and reads the answer. The session decides what a refusal means. As soon as an answer is whole, its connection carries
the next request, and only then is the answer decoded.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from probe_exporter.clock import Clock
from probe_exporter.errors import ConnectError, DeadlineError, GatewayError, NoThreadError
from probe_exporter.gateway.endpoints import Endpoint
from probe_exporter.gateway.exchange import Asking, Demand, Exchange, Fetched, Limits, Watch, telltale
from probe_exporter.gateway.transport import Connection
from probe_exporter.gateway.wire import HttpAnswer
from probe_exporter.telemetry import Telemetry

if TYPE_CHECKING:
    from probe_exporter.gateway.client import Gateway


_MOMENT: Final = 0.001
"""Seconds after which a turn reads no more from a connection: the other gateways have their turns first."""


class Fetch:
    """The exchanges under way with one gateway. Its driver gives it a turn when something has happened.

    A turn never waits. By ``watch`` the driver is notified of data that arrives on the connections.
    """

    def __init__(
        self, gateway: Gateway, demand: Demand, watch: Watch, telemetry: Telemetry, clock: Clock
    ) -> None:
        self._gateway = gateway
        self._session = gateway.session
        self._demand = demand
        self._watch = watch
        self._telemetry = telemetry
        self._clock = clock
        self._active: dict[int, Exchange] = {}
        self._free: list[Connection] = []
        self._watched: dict[int, Connection] = {}
        self._again: deque[Asking] = deque()
        self._login: Exchange | None = None
        self._retry_at = 0.0
        self._refused_more = False

    @property
    def in_use(self) -> int:
        """The number of connections that carry a request, or the login that waits for its record."""
        return len(self._active) + (self._login is not None and not self._login.sent)

    @property
    def logging_in(self) -> bool:
        """Return True from the decision to log in until it is answered. Only public endpoints may be asked then."""
        return self._login is not None

    def wake(self) -> None:
        """Request a turn soon: a client joined, a connection is open, or a login is on disk. Called in any thread."""
        self._watch.wake()

    def close(self) -> None:
        """End what is still under way. Called by the driver, between two turns."""
        if self._login is not None:
            self._login.connection.close()
            self._end_login(self._login, ConnectError("the login was cut short"))
        for exchange in self._active.values():
            exchange.connection.close()
        self._active.clear()
        self._settle()

    def turn(self, ready: Iterable[int] = ()) -> float | None:
        """Read from the descriptors that are ``ready``, and send what there is to send.

        Return when the next turn is due at the latest, in seconds of `time.monotonic`. Return None at the end: when
        nobody waits and nothing is under way. Raises NoThreadError where no connection can be made for that reason.
        """
        self._take_dialled(self._demand.limits())
        limits = self._demand.limits()  # those who waited for that connection may have left
        ended = [exchange for exchange in self._ended(ready) if not self._settled(exchange)]
        self._send_login()
        try:
            if limits is not None:
                self._dispatch(limits)
            elif self._gateway.closed:
                self.close()
        finally:
            for exchange in ended:
                self._judge(exchange)
        if ended:
            limits = self._demand.limits()
            if limits is not None:
                self._dispatch(limits)
        self._settle()
        waiting = limits is not None and (self._gateway.dialling or self._retry_at > 0.0)
        if not self.in_use and not waiting and self._demand.end_if_idle():
            return None
        return self._due(limits)

    def _due(self, limits: Limits | None) -> float:
        """Return when the next turn is due if nothing arrives."""
        moments = [exchange.deadline for exchange in self._active.values()]
        if self._login is not None:
            moments.append(self._login.deadline)
        if limits is not None:
            now = time.monotonic()
            moments.append(limits.deadline)
            moments += [moment for moment in (self._retry_at, limits.public_from) if moment > now]
        return min(moments, default=math.inf)

    def _settle(self) -> None:
        """At the end of a turn: let the driver look at the connections that carry a request, and at no others.

        A descriptor may be that of another connection by now: the system gives the numbers of closed ones again.
        """
        while self._free:
            self._gateway.put_back(self._free.pop())
        for descriptor, connection in list(self._watched.items()):
            exchange = self._active.get(descriptor)
            if exchange is None or exchange.connection is not connection:
                self._watch.remove(descriptor)
                del self._watched[descriptor]
        for descriptor, exchange in self._active.items():
            if descriptor not in self._watched:
                self._watch.add(descriptor)
                self._watched[descriptor] = exchange.connection

    # Connections

    def _take_dialled(self, limits: Limits | None) -> None:
        """Take in the connection that was being made, or the reason why there is none."""
        error = self._gateway.take_dialled()
        if error is None:
            return
        if self.in_use or self._gateway.idle:
            self._demand.trace(f"no further connection: {error}")
            self._gateway.narrow()
            self._refused_more = True
            return
        now = time.monotonic()
        if (
            limits is not None
            and isinstance(error, ConnectError)
            and now + limits.retry_interval < limits.retry_until
        ):
            self._demand.trace(f"{error}; trying again")
            self._retry_at = now + limits.retry_interval
            return
        self._demand.trace(f"{error.reason}: {error}")
        self._again.clear()
        self._demand.fail(error)

    def _connection(self, limits: Limits, fresh: bool) -> Connection | None:
        """Return a connection that may carry a request now; where there is none, begin to make one where it helps.

        A login, which is never sent twice, and a second try get a ``fresh`` one, which has not carried a request: a
        gateway may close a used one meanwhile.
        """
        if fresh:
            self._drop_free()
        elif self._free:
            return self._free.pop()
        connection = self._gateway.idle_connection(fresh)
        if connection is not None or self._gateway.dialling:
            return connection
        if self.in_use and not self._more_allowed():
            return None
        if self._retry_at:
            if time.monotonic() < self._retry_at:
                return None
            self._retry_at = 0.0
            self._telemetry.retries.inc()
        try:
            self._gateway.dial(limits.connect_timeout, self._demand.trace)
        except NoThreadError:
            if not self.in_use:
                raise
        return None

    def _more_allowed(self) -> bool:
        """Return True if a further connection is worth an attempt. Beside a login one is, for what is public."""
        if self._refused_more:
            return False
        return self.in_use == self.logging_in or self._gateway.may_widen()

    def _drop_free(self) -> None:
        """Close the connections that became free in this turn."""
        while self._free:
            self._free.pop().close()

    # Requests

    def _dispatch(self, limits: Limits) -> None:
        """Send as many requests as there is room for."""
        while self.in_use < limits.max_connections:
            waits = self.logging_in
            login = not waits and self._session.login_due()
            again = self._again[0] if self._again and not waits else None
            endpoint = None
            if not login and again is None:
                if waits and time.monotonic() < limits.public_from:
                    return
                endpoint = self._demand.next(waits, self._hung_under_way)
                if endpoint is None:
                    return
            connection = self._connection(limits, login or (again is not None and again.revived))
            if connection is None:
                return
            if login:
                self._log_in(connection, limits)
            elif endpoint is None:
                self._send(self._again.popleft(), connection, limits)
            else:
                self._ask(endpoint, connection, limits)

    def _ask(self, endpoint: Endpoint, connection: Connection, limits: Limits) -> None:
        self._demand.asked(endpoint)
        obstacle = self._session.obstacle(endpoint)
        if obstacle is None:
            self._send(Asking(endpoint), connection, limits)
        else:
            self._gateway.put_back(connection)
            self._tell(Fetched(endpoint, error=obstacle))

    @property
    def _hung_under_way(self) -> bool:
        """Return True while an endpoint that hung before is being asked: those have one connection together."""
        return any(
            exchange.endpoint is not None and self._demand.hung(exchange.endpoint)
            for exchange in self._active.values()
        )

    def _send(self, again: Asking, connection: Connection, limits: Limits) -> None:
        exchange = Exchange(
            again.endpoint,
            connection,
            time.monotonic() + limits.request_timeout,
            self._session.token,
            repeated=again.repeated,
            revived=again.revived,
        )
        dialect = again.endpoint.dialect
        data = dialect.request(again.endpoint.name, connection.host_header, self._session.headers())
        self._start(exchange, data)

    def _log_in(self, connection: Connection, limits: Limits) -> None:
        """Begin a login, which belongs to the gateway: it is recorded first, and sent when it is on disk."""
        if self._session.begin_login(self.wake):
            self._login = Exchange(None, connection, time.monotonic() + limits.request_timeout, None)
            self._send_login()
        else:
            self._gateway.put_back(connection)

    def _send_login(self) -> None:
        """Send a login that has been recorded. It has its own time, and another one to be recorded in."""
        login, now = self._login, time.monotonic()
        if login is None or login.sent:
            return
        if self._session.recorded:
            login.sent = True
            login.started, login.deadline = now, login.deadline + now - login.started
            self._telemetry.logins.inc()
            self._start(login, self._session.login_request(login.connection.host_header))
        elif now >= login.deadline:
            self._gateway.put_back(login.connection)
            self._end_login(login, DeadlineError("the login could not be saved in time, and was not sent"))

    def _start(self, exchange: Exchange, data: bytes) -> None:
        self._telemetry.gateway_requests.inc()
        try:
            # A gateway that reads has room for a request. One that does not read must not block the turn.
            exchange.connection.send(data, time.monotonic())
        except GatewayError as error:
            exchange.error = error.as_value()
            exchange.connection.close()
            if not self._settled(exchange):
                self._judge(exchange)
            return
        self._active[exchange.connection.fileno()] = exchange

    # Answers

    def _ended(self, ready: Iterable[int]) -> list[Exchange]:
        """Read what has arrived. Return the exchanges that ended, which are off the list then."""
        ended = [
            exchange
            for exchange in (self._active.get(descriptor) for descriptor in ready)
            if exchange is not None and self._read(exchange)
        ]
        now = time.monotonic()
        for exchange in self._active.values():
            if now >= exchange.deadline and exchange not in ended:
                if not self._read(exchange):  # it may have arrived while the process did other work
                    exchange.error = DeadlineError(f"no whole answer within {now - exchange.started:.3g} s")
                ended.append(exchange)
        for exchange in ended:
            self._release(exchange)
        return ended

    def _release(self, exchange: Exchange) -> None:
        """Take an ended exchange off its connection, which is kept where it may carry another one."""
        del self._active[exchange.connection.fileno()]
        exchange.check_step()
        connection = exchange.connection
        if exchange.reusable:
            connection.used = True
            connection.last = (exchange.endpoint, telltale(exchange.reader.answer))
            self._free.append(connection)
        else:
            connection.close()

    @staticmethod
    def _read(exchange: Exchange) -> bool:
        """Take what has arrived for an exchange, in a moment at most. Return True if it ended."""
        connection, reader, end = exchange.connection, exchange.reader, time.monotonic() + _MOMENT
        try:
            while True:
                data = connection.receive()
                if data is not None:
                    reader.feed(data)
                if reader.answer is not None:
                    return True
                if connection.drained or (time.monotonic() >= end and not connection.unread):
                    return False
        except GatewayError as error:
            exchange.error = error.as_value()
            return True

    def _settled(self, exchange: Exchange) -> bool:
        """Return True if nothing is left to judge: a login ended, or the endpoint is to be requested once more."""
        endpoint = exchange.endpoint
        if endpoint is None:
            self._end_login(exchange, exchange.error)
            return True
        if exchange.lost:
            self._drop_free()
            self._gateway.drop_idle()  # the second try takes a fresh connection
            self._again.append(Asking(endpoint, exchange.repeated, revived=True))
            return True
        answer = exchange.reader.answer
        if exchange.error is not None or answer is None or answer.status not in (401, 403):
            return False
        if self._session.refused(endpoint, answer.status, exchange.token, exchange.repeated):
            self._demand.trace(f"{endpoint.name}: {answer.status}, the session is over")
            self._again.append(Asking(endpoint, repeated=True, revived=exchange.revived))
            return True
        return False

    def _end_login(self, exchange: Exchange, error: GatewayError | None) -> None:
        self._login = None
        failure = self._session.end_login(exchange.reader.answer if error is None else None, error)
        if failure is None:
            self._demand.trace(f"logged in in {time.monotonic() - exchange.started:.3f} s")
            return
        self._telemetry.count_login_failure(failure.reason)
        self._telemetry.count_request_failure(failure.reason)
        self._demand.trace(f"no session: {failure}")

    def _judge(self, exchange: Exchange) -> None:
        """Decode an ended exchange, now that its connection carries the next request, and pass on its result."""
        endpoint = exchange.endpoint
        assert endpoint is not None, "a login is judged by the session"
        answer = exchange.reader.answer
        document: object = None
        error: GatewayError | None = None
        try:
            document = self._document(endpoint, exchange, answer)
            self._session.accepted(endpoint, exchange.token)
        except GatewayError as failure:
            error = failure.as_value()
            if answer is None or answer.status not in (403, 404):
                self._telemetry.count_request_failure(error.reason)
        duration = time.monotonic() - exchange.started
        self._tell(Fetched(endpoint, document, error, duration, self._clock.time(), answer))

    def _document(self, endpoint: Endpoint, exchange: Exchange, answer: HttpAnswer | None) -> object:
        """Return the document of an answer. Raises what the answer means where there is none."""
        if exchange.error is not None:
            raise exchange.error
        if answer is None:
            raise ConnectError("the answer was cut short")
        if answer.status in (401, 403):
            raise self._session.refusal_of(endpoint, answer.status, exchange.token)
        return endpoint.dialect.document(endpoint.name, answer)

    def _tell(self, fetched: Fetched) -> None:
        took = "not asked" if fetched.duration is None else f"{fetched.duration:.3f} s"
        what = "answered" if fetched.error is None else f"{fetched.error.reason}: {fetched.error}"
        self._demand.trace(f"{fetched.endpoint.name} ({took}): {what}")
        self._demand.take(fetched)
