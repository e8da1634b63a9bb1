"""The session with one gateway: its token, and the rules that keep an owner from being locked out.

At most one login a minute, whatever came of it. A refused password rests 5, 10, 20 … 60 minutes, because a handful
of bad logins locks the login path of a gateway for up to 100 minutes (seen from firmware 21 to 26). A gateway that
asks for patience (429, 503) gets at least five minutes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final, Protocol

from probe_exporter.clock import Clock
from probe_exporter.config import GatewayConfig
from probe_exporter.durations import format_duration
from probe_exporter.errors import (
    AbsentError,
    AuthError,
    BusyError,
    DecodeError,
    GatewayError,
    LoginRestError,
    RateLimitError,
    StatusError,
)
from probe_exporter.gateway.wire import HttpAnswer
from probe_exporter.readings.payload import decode
from probe_exporter.secrets import Secret

PATH: Final = "/api/login/Basic"

MIN_INTERVAL: Final = 60.0
"""Seconds between two logins at one gateway, whatever came of the first."""

FIRST_REST: Final = 300.0
MAX_REST: Final = 3600.0
ABSENT_REST: Final = 3600.0

BLAME_REST: Final = 3600.0
"""Seconds for which the refusal of one endpoint, once a login did not mend it, is no reason for another login."""

_TOKEN_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/.~")


@dataclass(slots=True)
class LoginState:
    """What is remembered of logins. Times are monotonic seconds of the clock in use.

    ``accepted`` says whether the token was ever accepted; ``rest_reason`` is the reason of the failure that
    started the rest, "" where there is none.
    """

    token: Secret | None = None
    obtained: float = 0.0
    accepted: bool = False
    last_attempt: float | None = None
    rest_until: float = 0.0
    rest_reason: str = ""
    refusals: int = 0
    doubts: set[str] = field(default_factory=set)
    """The endpoints that answered the token with 401 before it was ever accepted."""
    suspects: set[str] = field(default_factory=set)
    """The endpoints that refused the token although the login was for their sake."""
    blamed: dict[str, float] = field(default_factory=dict)
    """Until when which endpoint is refused to a session that is good everywhere else."""
    open: bool = False
    """Whether this gateway has no login at all (firmware 1.x): everything is asked without a token."""


class Store(Protocol):
    """Where a login state outlives the process."""

    def load(self, config: GatewayConfig) -> LoginState | None:
        """What was saved for this gateway, None where nothing usable is."""
        ...

    def save(self, config: GatewayConfig, state: LoginState) -> None:
        """Save; never raises."""
        ...


class Login:
    """Decides when a login may be tried, and remembers what came of it."""

    def __init__(self, config: GatewayConfig, clock: Clock, store: Store | None = None) -> None:
        self._config = config
        self._clock = clock
        self._store = store
        self._state: LoginState | None = None
        self._headers: tuple[Secret | None, bytes] = (None, b"")
        self._failure: GatewayError | None = None

    @property
    def state(self) -> LoginState:
        """What is remembered; read from the store at the first use, not at start-up."""
        if self._state is None:
            self._state = (self._store and self._store.load(self._config)) or LoginState()
        return self._state

    def follow(self, before: Login) -> None:
        """Take over when the last login was under the configuration before: a changed password waits its minute."""
        if before._state is not None and before._state.last_attempt is not None:
            own = self.state.last_attempt
            self.state.last_attempt = max(own or 0.0, before._state.last_attempt)

    def _save(self) -> None:
        if self._store is not None:
            self._store.save(self._config, self.state)

    @property
    def has_password(self) -> bool:
        """Whether a login is possible at all."""
        return self._config.login_password is not None

    def headers(self) -> bytes:
        """The header lines that present the session: the cookie for older, the bearer for newer firmware."""
        token = self.state.token
        if token is None:
            return b""
        if self._headers[0] is not token:
            text = token.reveal()
            self._headers = (
                token,
                f"Cookie: AuthCookie={text}\r\nAuthorization: Bearer {text}\r\n".encode("ascii"),
            )
        return self._headers[1]

    def cooldown(self) -> float:
        """Seconds until a login may be tried again; 0 where it may be tried now."""
        now = self._clock.monotonic()
        until = self.state.rest_until
        if self.state.last_attempt is not None:
            until = max(until, self.state.last_attempt + MIN_INTERVAL)
        return max(0.0, until - now)

    @property
    def resting_refused(self) -> bool:
        """Whether an earlier login was refused and its rest is not over."""
        return bool(self.state.rest_reason) and self._clock.monotonic() < self.state.rest_until

    def check_allowed(self) -> None:
        """Raises the error that says why no login is tried now; returns where one may be."""
        if not self.has_password:
            raise AuthError(
                f"{self._config.name} asks for a login, but no login_password is configured for it"
            )
        left = self.cooldown()
        if left <= 0.0:
            return
        wait = format_duration(float(round(left)) or 1.0)
        reason = self.state.rest_reason if self.resting_refused else ""
        if reason == RateLimitError.reason:
            raise RateLimitError(f"the gateway limits logins; the next is tried in {wait}")
        if reason == BusyError.reason:
            raise BusyError(f"the gateway was busy when asked for a login; the next is tried in {wait}")
        if reason:
            raise LoginRestError(
                f"the gateway refused the login; the next is tried in {wait}, or once the configuration of "
                f"{self._config.name} changes: check login_email and login_password"
            )
        if self.state.open:
            raise LoginRestError(
                f"the gateway has no login (404) but wants a session; the next is tried in {wait}"
            )
        if self._failure is not None:
            raise LoginRestError(
                f"the last login failed: {self._failure}; the next is tried in {wait}", self._failure.reason
            )
        raise LoginRestError(f"the last login was less than a minute ago; the next is tried in {wait}")

    def body(self) -> bytes:
        """The JSON of a login as an owner. `check_allowed` has passed. Never log this."""
        password = self._config.login_password
        return json.dumps(
            {
                "username": "customer",
                "email": self._config.login_email,
                "password": password.reveal() if password else "",
                "force_sm_off": False,
            }
        ).encode("utf-8")

    def begin(self) -> None:
        """A login is about to be sent: it counts from now on, whatever becomes of it."""
        self._failure = None
        self.state.last_attempt = self._clock.monotonic()
        self._save()

    def fail(self, error: GatewayError) -> None:
        """Remember why the login that was begun came to nothing."""
        self._failure = error

    def finish(self, answer: HttpAnswer) -> None:
        """Take the token out of a login answer. Raises what the answer means where there is none."""
        try:
            self._finish(answer)
        finally:
            self._save()

    def _finish(self, answer: HttpAnswer) -> None:
        if answer.status == 200:
            self.state.token = _token(answer.body)
            self.state.obtained = self._clock.monotonic()
            self.state.accepted = False
            self.state.doubts = set()
            self.state.suspects = set()
            self.state.rest_reason = ""
            self.state.rest_until = 0.0
            return
        if answer.status in (401, 403):
            self.refuse()
            raise AuthError(f"the gateway refused the login ({answer.status}): {_hint(answer.body)}")
        error = status_error(answer, "the login")
        if isinstance(error, (RateLimitError, BusyError)):
            self._rest(min(max(FIRST_REST, error.retry_after or 0.0), 2 * MAX_REST), error.reason)
        elif isinstance(error, AbsentError):
            self.state.open = True
            self._rest(ABSENT_REST, "")
        raise error

    def refuse(self) -> None:
        """The password or a token fresh from a login was refused: rest, longer each time."""
        self.state.refusals += 1
        self.state.token = None
        self.state.blamed = {}
        doublings = min(self.state.refusals - 1, 10)
        self._rest(min(FIRST_REST * 2.0**doublings, MAX_REST), AuthError.reason)
        self._save()

    def accept(self) -> None:
        """The gateway answered a protected endpoint with 200: the token is good."""
        if not self.state.accepted:
            self.state.accepted = True
            self.state.refusals = 0
            self._blame(self.state.doubts | self.state.suspects)
            self._save()

    def may_renew(self, status: int, presented: Secret | None, endpoint: str) -> bool:
        """Whether a 401 or 403 of ``endpoint`` for a request that presented this token is a reason to log in.

        A 403 means a missing role as often as a dead session, so it renews only a token older than a minute;
        a 401 renews only a token that was accepted before. What a login did not mend is no reason for the next.
        """
        if presented is None:
            return True
        if self._clock.monotonic() < self.state.blamed.get(endpoint, 0.0):
            return False
        if status == 403:
            return self._clock.monotonic() - self.state.obtained >= MIN_INTERVAL
        return self.state.accepted

    def suspect(self, endpoint: str) -> None:
        """The endpoint refused the session that was renewed for it; where others take it, no login will help."""
        self.state.suspects.add(endpoint)
        if self.state.accepted:
            self._blame({endpoint})
            self._save()

    def _blame(self, endpoints: set[str]) -> None:
        until = self._clock.monotonic() + BLAME_REST
        self.state.blamed.update(dict.fromkeys(endpoints, until))

    def doubt(self, endpoint: str) -> bool:
        """A 401 for a token that was never accepted: whether it makes the login a refused one.

        It does when it is the second, of another endpoint: one alone may be refused to owners.
        """
        self.state.doubts.add(endpoint)
        if len(self.state.doubts) < 2:
            return False
        self.refuse()
        return True

    def _rest(self, seconds: float, reason: str) -> None:
        self.state.rest_until = self._clock.monotonic() + seconds
        self.state.rest_reason = reason


def status_error(answer: HttpAnswer, what: str) -> GatewayError:
    """The error for any status but 200, 401 and 403 of ``what``."""
    status = answer.status
    if status == 429:
        return RateLimitError(f"the gateway limits requests to {what} (429)", _retry_after(answer))
    if status == 503:
        return BusyError(f"the gateway is busy and does not answer {what} (503)", _retry_after(answer))
    if status == 404:
        return AbsentError(f"the gateway does not have {what} (404)", status)
    if 300 <= status < 400:
        return StatusError(f"the gateway redirects {what} ({status}); redirects are never followed", status)
    return StatusError(f"the gateway answers {what} with status {status}", status)


def _retry_after(answer: HttpAnswer) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def is_token(value: object) -> bool:
    """Whether this may go into a header: a text of URL-safe characters, not too long."""
    return isinstance(value, str) and 0 < len(value) <= 4096 and _TOKEN_CHARACTERS.issuperset(value)


def _token(body: bytes) -> Secret:
    document = decode(body)
    token = document.get("token") if isinstance(document, dict) else None
    if not is_token(token):
        raise DecodeError("the gateway answered the login without a token")
    return Secret(str(token))


def _hint(body: bytes) -> str:
    """What to do about a refused login, from the gateway's own words."""
    if b"default password" in body.lower():
        return (
            "it no longer takes the default password (firmware 24.36 and newer); "
            "set one of your own on the gateway's own Wi-Fi"
        )
    return "check login_email and login_password"
