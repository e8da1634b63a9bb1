"""The session with one gateway: a state machine that keeps an owner from being locked out.

A handful of wrong passwords locks the login of a gateway for 10 to 100 minutes, for its owner too (seen from firmware
21 to 26). Therefore: at most one login a minute, counted from its first byte, whatever came of it; after a refusal 5,
10, 20 … 60 minutes of rest; at least five minutes after a 429 or 503.

`transitions.py` has the machine as a table; here it meets clocks, tokens and answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from probe_exporter.clock import Clock
from probe_exporter.config import GatewayConfig
from probe_exporter.durations import format_duration
from probe_exporter.errors import (
    AbsentError,
    AuthError,
    BusyError,
    DeadlineError,
    DecodeError,
    ForbiddenError,
    GatewayError,
    LoginRestError,
    RateLimitError,
)
from probe_exporter.gateway.dialect import own_words, status_error
from probe_exporter.gateway.endpoints import Endpoint
from probe_exporter.gateway.login_record import LoginRecord, Store, copy_record, credentials, is_token
from probe_exporter.gateway.transitions import TRANSITIONS, Event, State, Wait
from probe_exporter.gateway.wire import HttpAnswer, request
from probe_exporter.readings.payload import decode
from probe_exporter.secrets import Secret

PATH: Final = "/api/login/Basic"

MINUTE: Final = 60.0
"""Seconds between two logins at one gateway, whatever came of the first."""

FIRST_REST: Final = 300.0
LONGEST_REST: Final = 3600.0
HOUR: Final = 3600.0
_NONSENSE_WAITS: Final = (60.0, 120.0, 300.0)


class Session:
    """Decides when a login may be sent, what a refusal means, and which token requests present.

    The driver of the fetch uses it. `open` is called by the thread that connects, `headers` by that of TEDAPI as well.
    The record may outlive it, and may be shared with the session of the previous configuration. Then only the newer
    session changes it, and the minute between two logins counts for both.
    """

    def __init__(
        self,
        config: GatewayConfig,
        clock: Clock,
        record: LoginRecord | None = None,
        store: Store | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._store = store
        self._record = record or LoginRecord()
        self._loaded = False
        self._credentials = credentials(config)
        self._wanted = False
        self._under_way = False
        self._headers: tuple[Secret | None, bytes] = (None, b"")
        self.recorded = True
        """True if the last login that was begun is on disk, or is not to be kept there."""

    @property
    def record(self) -> LoginRecord:
        """The history of the logins."""
        return self._record

    def open(self) -> None:
        """Read what was saved, before the first connection. It takes milliseconds: not for the event loop."""
        if self._loaded or self._store is None:
            return
        self._loaded = True
        self._store.prepare(self._config)
        record = self._record
        if record.credentials is not None:
            return
        saved = self._store.load(self._config)
        with record.lock:
            if saved is not None and record.credentials is None:
                copy_record(saved, record)

    def take_over(self) -> None:
        """Assign the record to these credentials, where it belonged to others. The minute still counts."""
        record = self._record
        with record.lock:
            if record.credentials not in (None, self._credentials):
                copy_record(LoginRecord(self._credentials, last_login=record.last_login), record)

    @property
    def state(self) -> State:
        """The state of the session."""
        return self.record.state

    @property
    def token(self) -> Secret | None:
        """The token that requests present now, None without a session."""
        return self.record.token

    @property
    def has_password(self) -> bool:
        """Return True if a login is possible at all."""
        return self._config.login_password is not None

    @property
    def _password_key(self) -> str:
        """The key or variable of the password, for messages."""
        return self._config.called("login_password")

    @property
    def missing(self) -> bool:
        """Return True if the gateway requires a session and there is none."""
        return self.has_password and self.record.state in (State.NONE, State.RESTING)

    def headers(self) -> bytes:
        """Return the header lines that present the session: the cookie for older, the bearer for newer firmware."""
        token = self.token
        if token is None:
            return b""
        if self._headers[0] is not token:
            text = token.reveal()
            lines = f"Cookie: AuthCookie={text}\r\nAuthorization: Bearer {text}\r\n"
            self._headers = (token, lines.encode("ascii"))
        return self._headers[1]

    @property
    def _in_charge(self) -> bool:
        """Return False once a configuration with other credentials has taken over the record."""
        return self.record.credentials in (None, self._credentials)

    # When a login may be sent

    def cooldown(self) -> float:
        """Return the seconds until a login may be sent again, 0 where it may be sent now."""
        record = self.record
        until = record.wait_until
        if record.last_login is not None:
            until = max(until, record.last_login + MINUTE)
        return max(0.0, until - self._clock.monotonic())

    def login_due(self) -> bool:
        """Return True if a login is needed and may be sent now."""
        wanted = self.has_password and (self.missing or self._wanted)
        return wanted and self._in_charge and self.cooldown() <= 0.0

    def obstacle(self, endpoint: Endpoint) -> GatewayError | None:
        """Return why this endpoint cannot be asked now without a session, None where it can be asked."""
        if endpoint.public or not self.missing or self.cooldown() <= 0.0:
            return None
        return self.refusal()

    def refusal(self) -> GatewayError:
        """Return the error that says why there is no session and when the next login is sent."""
        if not self.has_password:
            return AuthError(
                f"{self._config.name} requires a login, but no {self._password_key} is configured for it"
            )
        reason, text = self.record.failure
        left = self.cooldown()
        wait = format_duration(float(round(left)) or 1.0)
        if not reason and not left:
            return DeadlineError("there was no time for a login")
        if not reason:
            return LoginRestError(f"the last login was less than a minute ago; the next is sent in {wait}")
        changed = (
            f", or once the configuration of {self._config.name} changes"
            if reason == AuthError.reason
            else ""
        )
        return LoginRestError(f"{text}; the next login is sent in {wait}{changed}", reason)

    # A login

    def begin_login(self, then: Callable[[], None] = lambda: None) -> bool:
        """Count a login from now on, whatever becomes of it. Return False if another one took this minute.

        Send it when `recorded` is true: after a crash no second one may follow within the minute. ``then`` is called
        when that is so, perhaps in another thread.
        """
        record = self.record
        with record.lock:
            if not self._in_charge:
                return False
            record.credentials = self._credentials
            now = self._clock.monotonic()
            if record.last_login is not None and now - record.last_login < MINUTE:
                return False
            record.last_login = now
        self._wanted, self._under_way = False, True
        self.recorded = False

        def done() -> None:
            self.recorded = True
            then()

        self._save(done)
        return True

    def login_request(self, host: str) -> bytes:
        """Return the bytes of a login as the owner. Never log them."""
        password = self._config.login_password
        body = {
            "username": "customer",
            "email": self._config.login_email,
            "password": password.reveal() if password else "",
            "force_sm_off": False,
        }
        headers = b"Content-Type: application/json\r\n"
        return request("POST", PATH, host, headers, json.dumps(body).encode("utf-8"))

    def end_login(self, answer: HttpAnswer | None, error: GatewayError | None = None) -> GatewayError | None:
        """Take the result of a login: its answer, or the error that cut it short. Return why it failed, if it did."""
        self._under_way = False
        if not self._in_charge:
            return error  # a configuration with other credentials has taken over
        event, failure = self._meaning(answer, error)
        retry_after = getattr(failure, "retry_after", None) or 0.0
        self._apply(event, failure, retry_after)
        return failure

    def _meaning(
        self, answer: HttpAnswer | None, error: GatewayError | None
    ) -> tuple[Event, GatewayError | None]:
        if answer is None:
            assert error is not None, "a login has an answer or an error"
            return Event.FAILED if not isinstance(error, DecodeError) else Event.NONSENSE, error
        if answer.status in (401, 403):
            return Event.REFUSED, AuthError(self._refused(answer))
        if answer.status != 200:
            return self._unusual(status_error(answer, "the login"))
        return self._granted(answer)

    def _unusual(self, error: GatewayError) -> tuple[Event, GatewayError]:
        if isinstance(error, RateLimitError):
            text = (
                "the gateway has locked its login after too many wrong passwords, for its owner too (429); "
                "such a lock lasts 10 to 100 minutes"
            )
            return Event.LIMITED, RateLimitError(text, error.retry_after)
        if isinstance(error, BusyError):
            return Event.LIMITED, error
        if isinstance(error, AbsentError):
            return Event.ABSENT, error
        return Event.FAILED, error

    def _granted(self, answer: HttpAnswer) -> tuple[Event, GatewayError | None]:
        try:
            document = decode(answer.body)
        except DecodeError as error:
            return Event.NONSENSE, DecodeError(f"the answer of the login is not JSON: {error}")
        token = document.get("token") if isinstance(document, dict) else None
        if not is_token(token):
            event = Event.REFUSED if isinstance(document, dict) else Event.NONSENSE
            return event, DecodeError("the gateway answered the login without a token")
        record = self.record
        record.token = Secret(str(token))
        record.obtained = self._clock.monotonic()
        record.endpoints = {name: until for name, until in record.endpoints.items() if until}
        return Event.TOKEN, None

    def _refused(self, answer: HttpAnswer) -> str:
        words = own_words(answer.body, self._config.login_password)
        if "default password" in words.lower():
            remedy = (
                "the default password is refused since firmware 24.36; set a password of your own in the gateway's "
                f"own Wi-Fi, and put it into {self._password_key}"
            )
        else:
            remedy = f"check {self._password_key}"
        said = f'{answer.status}, "{words}"' if words else str(answer.status)
        return f"the gateway refused the login ({said}): {remedy}"

    # Answers of endpoints

    def accepted(self, endpoint: Endpoint, token: Secret | None) -> None:
        """An endpoint that needs a session answered a request with this token."""
        record = self.record
        if token is None or token is not record.token or endpoint.public:
            return
        doubted = any(until == 0.0 for until in record.endpoints.values())
        if record.state is State.PROVEN and not doubted and endpoint.name not in record.endpoints:
            return
        until = self._clock.monotonic() + HOUR
        record.endpoints = {
            name: old or until for name, old in record.endpoints.items() if name != endpoint.name
        }
        self._apply(Event.ACCEPTED, None)

    def forbids(self, endpoint: Endpoint) -> bool:
        """Return True if the endpoint refused a session that was good elsewhere, less than an hour ago."""
        return self._clock.monotonic() < self.record.endpoints.get(endpoint.name, 0.0)

    def refused(self, endpoint: Endpoint, status: int, token: Secret | None, repeated: bool) -> bool:
        """An endpoint answered 401 or 403 to a request with ``token``. Return True if it is to be asked once more.

        A 403 means a missing role as often as a dead session, so it renews only a token older than a minute; a 401
        renews only a token that was accepted before. An endpoint that a new session did not open does not lead to
        another login within the hour.
        """
        record = self.record
        if token is not record.token:
            return not repeated
        if token is None:
            return self._want_login(repeated)
        forbidden = self.forbids(endpoint)
        if not forbidden and not repeated and self._renews(status):
            return self._want_login(repeated)
        if not forbidden:
            disowned = (
                status == 401
                and record.state is State.UNPROVEN
                and any(until == 0.0 for name, until in record.endpoints.items() if name != endpoint.name)
            )
            record.endpoints[endpoint.name] = 0.0
            if disowned:
                error = AuthError("the gateway refuses the session that its login has just given (401)")
                self._apply(Event.DISOWNED, error)
        return False

    def refusal_of(self, endpoint: Endpoint, status: int, token: Secret | None) -> AuthError:
        """Return the error that a 401 or 403 means, where another login cannot help."""
        if token is None and not self.has_password:
            return AuthError(f"it needs a login ({status}), but no {self._password_key} is configured")
        if self.state is State.OPEN:
            return AuthError(f"it needs a session ({status}), but the gateway has no login (404)")
        if self.forbids(endpoint):
            return ForbiddenError(f"the session of an owner may not read it ({status})")
        return AuthError(f"the gateway refused the session ({status})")

    def _renews(self, status: int) -> bool:
        if status == 403:
            return self._clock.monotonic() - self.record.obtained >= MINUTE
        return self.record.state is State.PROVEN

    def _want_login(self, repeated: bool) -> bool:
        if repeated:
            return False
        if self._wanted or self._under_way:
            return True
        if not self.has_password or self.cooldown() > 0.0:
            return False
        self._wanted = True
        return True

    # The machine

    def _apply(self, event: Event, failure: GatewayError | None, retry_after: float = 0.0) -> None:
        record = self.record
        if not self._in_charge:
            return
        state, wait = TRANSITIONS[record.state, event]
        if state is not record.state and state in (State.NONE, State.RESTING, State.OPEN):
            record.token = None
            record.endpoints = {}
        record.state = state
        if event is Event.ACCEPTED:
            record.refusals = record.nonsense = 0
        elif event is Event.TOKEN:
            record.failure, record.wait_until = ("", ""), 0.0
        elif failure is not None:
            reason = AuthError.reason if state is State.OPEN else failure.reason
            record.failure = (reason, str(failure))
        seconds = self._seconds(wait, retry_after)
        if seconds:
            record.wait_until = self._clock.monotonic() + seconds
        self._save()

    def _seconds(self, wait: Wait, retry_after: float) -> float:
        record = self.record
        if wait is Wait.REFUSAL:
            record.refusals += 1
            return float(min(FIRST_REST * 2.0 ** min(record.refusals - 1, 10), LONGEST_REST))
        if wait is Wait.PATIENCE:
            return min(max(FIRST_REST, retry_after), 2.0 * LONGEST_REST)
        if wait is Wait.NONSENSE:
            record.nonsense += 1
            return _NONSENSE_WAITS[min(record.nonsense, len(_NONSENSE_WAITS)) - 1]
        return HOUR if wait is Wait.HOUR else 0.0

    def _save(self, done: Callable[[], None] = lambda: None) -> None:
        if self._store is not None and self._in_charge:
            self._store.save(self._config, self.record, done)
        else:
            done()
