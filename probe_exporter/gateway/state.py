"""Login records on disk, so that a restart or a cron job cannot lock an owner out.

One small file for each address, readable by its owner only, written atomically. A file that is damaged counts as
missing; from a file of other credentials only the time of the last login is used.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from probe_exporter.clock import Clock
from probe_exporter.config import GatewayConfig
from probe_exporter.errors import REASONS
from probe_exporter.files import Write, read_regular, write_now
from probe_exporter.gateway.login_record import LoginRecord, credentials, is_token
from probe_exporter.gateway.session import HOUR, LONGEST_REST
from probe_exporter.gateway.transitions import State
from probe_exporter.secrets import Secret

log = logging.getLogger(__name__)

_FORMAT: Final = 2
_FIRST_FORMAT: Final = 1
_MAX_BYTES: Final = 16 << 10
_LONGEST_TEXT: Final = 400


@dataclass(frozen=True, slots=True)
class LoginStore:
    """Keeps login records in ``directory``. Times on disk are Unix seconds."""

    directory: Path
    clock: Clock
    write: Write = write_now
    _salts: dict[str, tuple[object, bytes, str]] = field(default_factory=dict, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def load(self, config: GatewayConfig) -> LoginRecord | None:
        """Return what was saved for this gateway and these credentials; None where there is nothing usable."""
        for path in (self._path(config), self._first_path(config)):
            try:
                saved = json.loads(read_regular(path, _MAX_BYTES))
                return self._restore(saved, config)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                log.warning(
                    "%s: the saved session is ignored: %s is not usable (%s)",
                    config.name,
                    path,
                    type(error).__name__,
                )
        return None

    def prepare(self, config: GatewayConfig) -> None:
        """Make the salted hash of the credentials, which takes milliseconds. `save` needs it."""
        self._identity(config)

    def save(
        self, config: GatewayConfig, record: LoginRecord, done: Callable[[], None] = lambda: None
    ) -> None:
        """Save atomically, and call ``done``. A failure is logged, never raised: a probe does not depend on it."""
        salt, identity = self._identity(config)
        shift = self.clock.time() - self.clock.monotonic()
        document = {
            "format": _FORMAT,
            "salt": salt.hex(),
            "identity": identity,
            "state": record.state.value,
            "token": record.token.reveal() if record.token else None,
            "obtained": record.obtained + shift,
            "last_login": None if record.last_login is None else record.last_login + shift,
            "wait_until": record.wait_until + shift,
            "wait": max(0.0, record.wait_until - self.clock.monotonic()),
            "failure": [text[:_LONGEST_TEXT] for text in record.failure],
            "refusals": record.refusals,
            "nonsense": record.nonsense,
            "endpoints": {name: until + shift for name, until in record.endpoints.items() if until},
        }

        def written(error: OSError | None) -> None:
            if error is not None:
                log.warning(
                    "%s: the session cannot be saved in %s: %s", config.name, self.directory, error.strerror
                )
            done()

        self.write(self._path(config), json.dumps(document).encode("ascii"), written)

    def _path(self, config: GatewayConfig) -> Path:
        """The file is named after a hash: an address may hold a bracket or a colon."""
        address = "\n".join(address.text for address in config.addresses)
        return self.directory / f"login-{hashlib.sha256(address.encode()).hexdigest()[:32]}.json"

    def _first_path(self, config: GatewayConfig) -> Path:
        """The file of the first format, which belonged to the gateway's name."""
        return self.directory / f"session-{hashlib.sha256(config.name.encode()).hexdigest()[:32]}.json"

    def _identity(self, config: GatewayConfig) -> tuple[bytes, str]:
        """The salt and the hash of the credentials.

        The hash is slow, so that the file does not reveal a password; it is made once for each configuration of a
        gateway.
        """
        key, wanted = self._path(config).name, credentials(config)
        with self._lock:
            known = self._salts.get(key)
        if known is None or known[0] != wanted:
            salt = secrets.token_bytes(16)
            known = (wanted, salt, _hash(config, salt))
            with self._lock:
                self._salts[key] = known
        return known[1], known[2]

    def _restore(self, saved: Any, config: GatewayConfig) -> LoginRecord:
        """Put times back on our clock. A wall clock that was changed must not make a wait longer than it was."""
        if saved["format"] == _FIRST_FORMAT:
            saved = _translated(saved)
        elif saved["format"] != _FORMAT:
            raise ValueError("format")
        now = self.clock.monotonic()
        shift = self.clock.time() - now
        longest = min(_number(saved.get("wait", LONGEST_REST)), 2 * LONGEST_REST)
        last = saved["last_login"]
        last_login = None if last is None else min(_number(last) - shift, now)
        identity, salt = str(saved["identity"]), bytes.fromhex(saved["salt"])
        token, (reason, text) = saved["token"], saved["failure"]
        if (token is not None and not is_token(token)) or reason not in ("", *REASONS):
            raise ValueError("token or reason")
        record = LoginRecord(
            credentials=credentials(config),
            state=State(saved["state"]),
            token=None if token is None else Secret(str(token)),
            obtained=min(_number(saved["obtained"]) - shift, now),
            last_login=last_login,
            wait_until=min(_number(saved["wait_until"]) - shift, now + longest),
            failure=(reason, str(text)[:_LONGEST_TEXT]),
            refusals=int(_number(saved["refusals"])),
            nonsense=int(_number(saved["nonsense"])),
            endpoints={
                str(name): min(_number(until) - shift, now + HOUR)
                for name, until in saved["endpoints"].items()
            },
        )
        if (record.token is None) == (record.state in (State.UNPROVEN, State.PROVEN)):
            raise ValueError("state")
        if not hmac.compare_digest(identity, _hash(config, salt)):
            return LoginRecord(credentials(config), last_login=last_login)
        return record


def _translated(saved: Any) -> dict[str, Any]:
    """A file of the first format in the words of the second."""
    reason = saved["rest_reason"]
    if saved["token"] is not None:
        state = State.PROVEN if saved["accepted"] else State.UNPROVEN
    elif saved["open"]:
        state = State.OPEN
    else:
        state = State.RESTING if reason else State.NONE
    texts = {"auth": "the gateway refused the login", "rate_limited": "the gateway limits logins"}
    return {
        "identity": saved["identity"],
        "salt": saved["salt"],
        "state": state.value,
        "token": saved["token"],
        "obtained": saved["obtained"],
        "last_login": saved["last_attempt"],
        "wait_until": saved["rest_until"],
        "failure": [
            reason,
            texts.get(reason, "the gateway was busy when asked for a login") if reason else "",
        ],
        "refusals": saved["refusals"],
        "nonsense": 0,
        "endpoints": saved.get("blamed", {}),
    }


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e12:
        raise ValueError("number")
    return float(value)


def _hash(config: GatewayConfig, salt: bytes) -> str:
    """A slow salted hash of address and credentials: the file must not reveal a short password."""
    password = config.login_password.reveal() if config.login_password else ""
    parts = [address.text for address in config.addresses]
    parts += [config.login_email, password, config.pin.sha256.hex() if config.pin else ""]
    return hashlib.scrypt(json.dumps(parts).encode(), salt=salt, n=1 << 12, r=8, p=1).hex()
