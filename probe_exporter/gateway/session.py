"""The session during one fetch: begun where there is none, renewed where an answer says that it is over."""

from __future__ import annotations

import time
from typing import Final

from probe_exporter.errors import AuthError, DeadlineError, ForbiddenError, GatewayError
from probe_exporter.gateway import login as login_rules
from probe_exporter.gateway.exchange import Exchange, Limits, Trace, ask_once
from probe_exporter.gateway.login import Login
from probe_exporter.gateway.pool import Connections
from probe_exporter.gateway.transport import Connection
from probe_exporter.gateway.wire import request
from probe_exporter.secrets import Secret
from probe_exporter.telemetry import Telemetry

LEAST_FOR_A_LOGIN: Final = 0.4
"""Seconds left without which no login is begun: it would count as the minute's, and come to nothing."""


class Session:
    """What a fetch presents to the gateway. `Login` has the rules; here they meet a connection and a deadline.

    ``error`` says why there is no session for the rest of this fetch: protected endpoints fail with it, without a
    request.
    """

    def __init__(
        self, login: Login, connections: Connections, limits: Limits, telemetry: Telemetry, trace: Trace
    ) -> None:
        self._login = login
        self._connections = connections
        self._limits = limits
        self._telemetry = telemetry
        self._trace = trace
        self.error: GatewayError | None = None

    @property
    def token(self) -> Secret | None:
        """The token that requests carry now, None without a session."""
        return self._login.state.token

    def headers(self) -> bytes:
        """The header lines that present it."""
        return self._login.headers()

    def accept(self) -> None:
        """A protected endpoint answered: the session is good."""
        self._login.accept()

    def ensure(self) -> None:
        """Begin a session where there is none and may be one. Raises what ends the fetch as a whole."""
        state = self._login.state
        if state.token is None and not state.open and self._login.has_password:
            self._try_login(patient=True)

    def renewed_for(self, exchange: Exchange, status: int, patient: bool) -> bool:
        """Whether the endpoint that answered 401 or 403 is worth another request, under a newer session.

        Each is asked once more at most. Raises what ends the fetch as a whole.
        """
        task, state = exchange.task, self._login.state
        current = exchange.token is not None and exchange.token is state.token
        if current and task.repeated:
            self._login.suspect(task.endpoint.name)
        if current and status == 401 and not state.accepted:
            self._doubt(exchange)
            return False
        if task.repeated or self.error is not None:
            return False
        return exchange.token is not state.token or self._renew(exchange, status, patient)

    def refusal(self, status: int, token: Secret | None) -> AuthError:
        """What a 401 or 403 means that no login could mend."""
        if token is None and not self._login.has_password:
            return AuthError(f"it needs a login ({status}), but no login_password is configured")
        if status == 403 and token is not None:
            return ForbiddenError("the session of an owner may not read it (403)")
        return AuthError(f"the gateway refused the session ({status})")

    def _doubt(self, exchange: Exchange) -> None:
        """The session that a login has just given is refused: by a second endpoint, and the login was none."""
        if self._login.doubt(exchange.task.endpoint.name):
            self._telemetry.count_login_failure(AuthError.reason)
            self.error = AuthError("the gateway refuses the session that it has just given (401)")
            exchange.error = self.error

    def _renew(self, exchange: Exchange, status: int, patient: bool) -> bool:
        """Log in anew where the rules allow it; whether there is a new session."""
        state = self._login.state
        name = exchange.task.endpoint.name
        if not self._login.has_password or not self._login.may_renew(status, exchange.token, name):
            return False
        self._trace(f"{name}: {status}, the session is over")
        previous, state.token = state.token, None
        state.open = False
        self._try_login(patient)
        if state.token is not None:
            return True
        exchange.error = self.error
        if not self._login.resting_refused:
            # The old token may still be good for everything but this endpoint.
            state.token, self.error = previous, None
        return False

    def _try_login(self, patient: bool) -> None:
        """Log in, or note why not. Raises what ends the fetch as a whole."""
        try:
            self._login.check_allowed()
            if self._limits.deadline - time.monotonic() < LEAST_FOR_A_LOGIN:
                raise DeadlineError("there was too little time left for a login")
        except GatewayError as error:
            self._go_on_without(error)
            return
        connection = self._connections.acquire(patient)
        try:
            self._log_in(connection)
        except GatewayError as error:
            self._go_on_without(error)

    def _go_on_without(self, error: GatewayError) -> None:
        """Note why there is no session, unless this gateway has no login at all."""
        if self._login.state.open:
            self._trace("this gateway has no login: going on without a session")
            return
        self.error = error.as_value()
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
            self._connections.put_back(connection, reusable)
        self._trace(f"logged in in {time.monotonic() - now:.3f} s")
