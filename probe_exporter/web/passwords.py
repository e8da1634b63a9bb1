"""Basic auth against bcrypt hashes, which are slow on purpose: in one thread, with a short queue."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from base64 import b64decode
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

MOST_WAITING: Final = 32
"""Passwords that wait for the thread; a request beyond them is answered with 503."""

_MOST_KNOWN: Final = 1024
_NOBODY: Final = "$2b${cost:02d}$abcdefghijklmnopqrstuuzZ4lCyx7pXx0yEJm0LBVQmVJ5kCkbKa"
"""A hash that no password has."""


class TooManyGuessesError(Exception):
    """No more passwords are checked now: too many wait already, or the exporter is shutting down."""


class PasswordCheck:
    """Checks passwords, and caches verdicts so that each password costs one run of bcrypt.

    Known passwords and guesses are cached apart: however many guesses there are, they do not displace a known password.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._wrong: set[bytes] = set()
        self._thread = ThreadPoolExecutor(1, "password")
        self._checks: set[Future[bool]] = set()
        self._closed = False

    @property
    def busy(self) -> bool:
        """Return True if a password is being checked."""
        return bool(self._checks)

    def start(self) -> None:
        """Start the thread now: later the system may allow none."""
        self._thread.submit(int)

    def forget(self) -> None:
        """Forget all verdicts: the users have changed."""
        self._right.clear()
        self._wrong.clear()

    def close(self) -> None:
        """Stop checking; those who wait get TooManyGuessesError."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def admits(self, users: Mapping[str, bytes], authorization: str) -> bool:
        """Return True if an Authorization header names a user with the right password.

        Raises TooManyGuessesError.
        """
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = b64decode(encoded, validate=True).decode("utf-8").partition(":")
        except ValueError:
            return False
        # The key is random per process, and the parts cannot run into one another: a poisoned cache stays out.
        parts = (user.encode(), users.get(user, b""), password.encode())
        mark = hmac.digest(
            self._key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256"
        )
        if mark in self._right or mark in self._wrong:
            return mark in self._right
        verdict = await self._verdict(users, user, password)
        known = self._right if verdict else self._wrong
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known.add(mark)
        return verdict

    async def _verdict(self, users: Mapping[str, bytes], user: str, password: str) -> bool:
        if self._closed or len(self._checks) >= MOST_WAITING:
            raise TooManyGuessesError
        work = self._thread.submit(check, users, user, password)
        self._checks.add(work)
        work.add_done_callback(self._checks.discard)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            if not self._closed:
                raise
            raise TooManyGuessesError from None


def check(users: Mapping[str, bytes], user: str, password: str) -> bool:
    """Return True if this is the user's password.

    A wrong one costs as much time as the most expensive hash, whatever the user name, so that the time reveals nothing
    about users: after a hash of cost c come others of cost c, c+1 … up to the most expensive one, and 2^c + 2^c +
    2^(c+1) + … is a power of 2.
    """
    dearest = max(map(cost, users.values()))
    stored = users.get(user)
    if stored is None:
        _matches(password, _NOBODY.format(cost=dearest).encode("ascii"))
        return False
    if _matches(password, stored):
        return True
    for dummy in range(cost(stored), dearest):
        _matches(password, _NOBODY.format(cost=dummy).encode("ascii"))
    return False


def cost(stored: bytes) -> int:
    """The cost of a hash, as a power of two."""
    return int(stored[4:6])


def _matches(password: str, stored: bytes) -> bool:
    import bcrypt

    try:
        return bcrypt.checkpw(password.encode("utf-8")[:72], stored)
    except ValueError:
        return False
