"""Tokens and cool-downs on disk, so that a restart or a cron job cannot lock an owner out.

One small file a gateway, readable by its owner only, written atomically. A file that is damaged, or belongs to other
credentials, is as good as none.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from probe_exporter.clock import Clock
from probe_exporter.config import GatewayConfig
from probe_exporter.files import read_regular, write_whole
from probe_exporter.gateway.login import BLAME_REST, MAX_REST, LoginState, is_token
from probe_exporter.secrets import Secret

log = logging.getLogger(__name__)

_FORMAT: Final = 1
_MAX_BYTES: Final = 16 << 10
_REASONS: Final = ("", "auth", "rate_limited", "busy")


@dataclass(frozen=True, slots=True)
class LoginStore:
    """Keeps login states in ``directory``. Times on disk are Unix seconds."""

    directory: Path
    clock: Clock

    def load(self, config: GatewayConfig) -> LoginState | None:
        """What was saved for this gateway and these credentials; None where there is nothing usable.

        Of other credentials no more than the last login is taken over: the minute between two is the gateway's.
        """
        try:
            saved = json.loads(read_regular(self._path(config), _MAX_BYTES))
            salt = bytes.fromhex(saved["salt"])
            if saved["format"] != _FORMAT:
                return None
            state = self._restore(saved)
            if hmac.compare_digest(saved["identity"], _identity(config, salt)):
                return state
            return LoginState(last_attempt=state.last_attempt)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning(
                "%s: the saved session is ignored: %s is not usable (%s)",
                config.name,
                self._path(config),
                type(error).__name__,
            )
            return None

    def save(self, config: GatewayConfig, state: LoginState) -> None:
        """Save atomically. A failure is logged, never raised: a probe does not depend on it."""
        salt = secrets.token_bytes(16)
        shift = self.clock.time() - self.clock.monotonic()
        document = {
            "format": _FORMAT,
            "salt": salt.hex(),
            "identity": _identity(config, salt),
            "token": state.token.reveal() if state.token else None,
            "obtained": state.obtained + shift,
            "accepted": state.accepted,
            "last_attempt": None if state.last_attempt is None else state.last_attempt + shift,
            "rest_until": state.rest_until + shift,
            "rest_reason": state.rest_reason,
            "refusals": state.refusals,
            "open": state.open,
            "blamed": {name: until + shift for name, until in state.blamed.items()},
        }
        try:
            path = self._path(config)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, json.dumps(document).encode("ascii"))
        except OSError as error:
            log.warning(
                "%s: the session cannot be saved in %s: %s", config.name, self.directory, error.strerror
            )

    def _path(self, config: GatewayConfig) -> Path:
        """Named after a hash: a gateway's name may hold anything, even a slash."""
        return self.directory / f"session-{hashlib.sha256(config.name.encode()).hexdigest()[:32]}.json"

    def _restore(self, saved: dict[str, object]) -> LoginState:
        """Times back on our clock. A wall clock that was turned must not make a rest longer than it can be."""
        now = self.clock.monotonic()
        shift = self.clock.time() - now

        def past(key: str) -> float:
            return min(_number(saved[key]) - shift, now)

        token = saved["token"]
        if token is not None and not is_token(token):
            raise ValueError("token")
        reason = saved["rest_reason"]
        if reason not in _REASONS:
            raise ValueError("rest_reason")
        return LoginState(
            token=None if token is None else Secret(str(token)),
            obtained=past("obtained"),
            accepted=bool(saved["accepted"]),
            last_attempt=None if saved["last_attempt"] is None else past("last_attempt"),
            rest_until=min(_number(saved["rest_until"]) - shift, now + 2 * MAX_REST),
            rest_reason=str(reason),
            refusals=int(_number(saved["refusals"])),
            open=bool(saved["open"]),
            blamed={
                name: min(_number(until) - shift, now + BLAME_REST)
                for name, until in _entries(saved.get("blamed", {})).items()
            },
        )


def _entries(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError("entries")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e12:
        raise ValueError("number")
    return float(value)


def _identity(config: GatewayConfig, salt: bytes) -> str:
    """A slow salted hash of whom we talk to and as whom: the file must not tell a short password."""
    password = config.login_password.reveal() if config.login_password else ""
    parts = [address.text for address in config.addresses]
    parts += [config.login_email, password, config.pin.sha256.hex() if config.pin else ""]
    return hashlib.scrypt(json.dumps(parts).encode(), salt=salt, n=1 << 12, r=8, p=1).hex()
