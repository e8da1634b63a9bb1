"""The history of the logins at one address, and the credentials that it belongs to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from probe_exporter.config import GatewayConfig
from probe_exporter.gateway.transitions import State
from probe_exporter.secrets import Secret

_TOKEN_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/.~")


@dataclass(slots=True)
class LoginRecord:
    """The history of the logins at one address. Times are monotonic seconds of the clock in use.

    It belongs to the address: a gateway that is renamed, or removed and added again, keeps it, and of other credentials
    it keeps the time of the last login. ``credentials`` are those it was made with, None while it is new.
    ``failure`` is the reason and the sentence of the last login that failed, ``refusals`` and ``nonsense`` count those
    in a row. ``endpoints`` holds the endpoints that refused the session: 0 for refused once, else forbidden until then.
    """

    credentials: tuple[object, ...] | None = None
    state: State = State.NONE
    token: Secret | None = None
    obtained: float = 0.0
    last_login: float | None = None
    wait_until: float = 0.0
    failure: tuple[str, str] = ("", "")
    refusals: int = 0
    nonsense: int = 0
    endpoints: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Store(Protocol):
    """The place where a login record outlives the process."""

    def load(self, config: GatewayConfig) -> LoginRecord | None:
        """Return the saved record of this gateway, None if there is no usable one."""
        ...

    def prepare(self, config: GatewayConfig) -> None:
        """Do the slow part of saving the record of this gateway in advance."""
        ...

    def save(self, config: GatewayConfig, record: LoginRecord, done: Callable[[], None] = ...) -> None:
        """Save, and call ``done`` then, perhaps in another thread; never raises."""
        ...


def credentials(config: GatewayConfig) -> tuple[object, ...]:
    """Return what a login record belongs to, beside the address: e-mail address, password and pin."""
    return config.login_email, config.login_password, config.pin


def copy_record(source: LoginRecord, target: LoginRecord) -> None:
    for name in LoginRecord.__slots__:
        if name != "lock":
            setattr(target, name, getattr(source, name))


def is_token(value: object) -> bool:
    """Return True if this may go into a header: a text of URL-safe characters, not too long."""
    return isinstance(value, str) and 0 < len(value) <= 4096 and _TOKEN_CHARACTERS.issuperset(value)
