"""The login of a gateway: password, tokens, and the lock-out after too many wrong passwords."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import datetime, timezone
from typing import Literal
from urllib.parse import parse_qs

from probe_exporter.simulator.messages import ClientRequest
from probe_exporter.simulator.system import SimulatedAnswer, document, refusal

LOGIN = "login/Basic"

BAD_CREDENTIALS = refusal(401, "bad credentials", "Login Error")
DEFAULT_REFUSED = refusal(401, "bad credentials", "default password not supported: Login Error")
LOCKED_OUT = refusal(429, "Api Limit reached for this endpoint", "API Limit Reached")
FORBIDDEN = refusal(403, "Unable to GET to resource", "User does not have adequate access rights")
EXPIRED = refusal(401, "Unauthorized", "Token Expired")


class Sessions:
    """Access control. After ``lock_after`` wrong passwords the login answers 429 to everybody until `unlock`.

    ``email`` is not checked where it is None: a gateway treats it as a label.
    """

    def __init__(
        self,
        password: str,
        email: str | None = None,
        lock_after: int | None = None,
        missing_status: Literal[401, 403] = 403,
    ) -> None:
        self.password = password
        self.email = email
        self.lock_after = lock_after
        self.default_refused = False
        """True if the right password is refused as a factory default, as by firmware since 24.36."""
        self._missing = EXPIRED if missing_status == 401 else FORBIDDEN
        self._tokens: set[str] = set()
        self._bad = 0

    @property
    def tokens(self) -> frozenset[str]:
        """The tokens that are good now."""
        return frozenset(self._tokens)

    @property
    def locked(self) -> bool:
        """Return True if the login is locked."""
        return self.lock_after is not None and self._bad >= self.lock_after

    def unlock(self) -> None:
        """End a lock-out."""
        self._bad = 0

    def revoke(self) -> None:
        """Forget every token, as a reboot does."""
        self._tokens.clear()

    def refuse(self) -> SimulatedAnswer:
        """The answer to a request without a good token."""
        return self._missing

    def knows(self, request: ClientRequest) -> bool:
        """Return True if the request carries a good token, as the cookie AuthCookie or as a bearer."""
        return bool(self._tokens.intersection(_presented(request)))

    def login(self, request: ClientRequest) -> SimulatedAnswer:
        """The answer to a login POST: 200 with a token, 400, 401, or 429 while locked."""
        if self.locked:
            return LOCKED_OUT
        fields = _fields(request.body)
        if fields is None:
            return refusal(400, "invalid request body", "Unable to decode the login request")
        if self._wrong(fields):
            self._bad += 1
            return BAD_CREDENTIALS
        if self.default_refused:
            return DEFAULT_REFUSED
        self._bad = 0
        return self._welcome(str(fields.get("email") or ""))

    def _wrong(self, fields: dict[str, object]) -> bool:
        right = fields.get("username") == "customer" and fields.get("password") == self.password
        return not right or (self.email is not None and fields.get("email") != self.email)

    def _welcome(self, email: str) -> SimulatedAnswer:
        token = base64.urlsafe_b64encode(secrets.token_bytes(64)).decode("ascii")
        self._tokens.add(token)
        user = {
            "email": email,
            "firstname": "Tesla",
            "lastname": "Energy",
            "roles": ["Home_Owner"],
            "token": token,
            "provider": "Basic",
            "loginTime": datetime.now(timezone.utc).isoformat(),
        }
        record = base64.urlsafe_b64encode(json.dumps({**user, "token": ""}).encode()).decode("ascii")
        answer = document(user)
        cookies = (
            ("set-cookie", f"AuthCookie={token}; Path=/"),
            ("set-cookie", f"UserRecord={record}; Path=/"),
        )
        return SimulatedAnswer(answer.status, answer.body, headers=cookies)


def _presented(request: ClientRequest) -> set[str]:
    found = set()
    for part in request.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "AuthCookie":
            found.add(value.strip('"'))
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found.add(value.strip())
    return found


def _fields(body: bytes) -> dict[str, object] | None:
    """The fields of a login: JSON as every client sends it, or a form."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        form: dict[str, object] = {name: values[0] for name, values in parse_qs(text).items()}
        return form or None
    return value if isinstance(value, dict) else None
