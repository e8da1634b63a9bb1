"""TLS and basic auth for the exporter's own port, in the format of Prometheus' exporter-toolkit."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import ssl
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import yaml

from probe_exporter.errors import ConfigurationError, Mistake
from probe_exporter.web.messages import Answer, App, BadRequestError, Receive, Request, Scope, Send

log = logging.getLogger(__name__)

_TLS_KEYS: Final = {"cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version"}
_CLIENT_AUTH: Final = {"NoClientCert": ssl.CERT_NONE, "RequireAndVerifyClientCert": ssl.CERT_REQUIRED}
_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_MOST_KNOWN: Final = 1024
_DUMMY: Final = b"$2b$10$abcdefghijklmnopqrstuuzZ4lCyx7pXx0yEJm0LBVQmVJ5kCkbKa"
"""A hash that no password has: an unknown user costs the time of a known one."""

_Wrong = Callable[[str, str], None]
"""Takes note of a mistake: where in the file, and what is wrong."""


@dataclass(frozen=True, slots=True)
class _Tls:
    """The part about TLS. ``pair`` are the files of certificate and key; ``fixed`` is what only a start can change."""

    context: ssl.SSLContext
    pair: tuple[Path, Path]
    fixed: tuple[str, str, bytes]


@dataclass(frozen=True, slots=True)
class _Settings:
    """What one reading of the file said. Hashes are bcrypt's."""

    tls: _Tls | None = None
    users: dict[str, bytes] = field(default_factory=dict)


class WebSecurity:
    """The settings in force. The files are read again when they change; a bad one changes nothing but the log.

    Users and certificate follow the files; everything else about TLS is decided at the start.
    """

    def __init__(self, path: Path | None, settings: _Settings) -> None:
        self._path = path
        self._settings = settings
        self._stamp = self._stamp_now()
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._wrong: set[bytes] = set()

    @classmethod
    def load(cls, path: Path | None) -> WebSecurity:
        """From the file, or without any where there is none. Raises ConfigurationError with every mistake."""
        return cls(path, _Settings() if path is None else _read(path))

    @property
    def tls(self) -> bool:
        """Whether the port speaks TLS."""
        return self._settings.tls is not None

    def ssl_context(self) -> ssl.SSLContext:
        """The context of the listening socket."""
        if self._settings.tls is None:
            raise ValueError("no TLS is configured")
        return self._settings.tls.context

    def guard(self, app: App) -> App:
        """The application behind basic auth, where users are configured now or may be later."""
        if self._path is None:
            return app

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            self.refresh()
            if self._settings.users and scope["type"] == "http":
                try:
                    request = Request.of({**scope, "query_string": b""})
                except BadRequestError as error:
                    await Answer.line(400, str(error)).send(Request.unread(scope), send)
                    return
                if not await self.admits(request.headers.get("authorization", "")):
                    challenge = 'Basic realm="probe_exporter"'
                    refusal = Answer.line(401, "a user and a password are needed", WWW_Authenticate=challenge)
                    await refusal.send(request, send)
                    return
            await app(scope, receive, send)

        return guarded

    def refresh(self) -> None:
        """Read the files again where one changed. Handshakes to come take a new certificate over."""
        stamp = self._stamp_now()
        if self._path is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._adopt(_read(self._path))
        except ConfigurationError as error:
            log.error("the web configuration stays as it was: %s", error)
        else:
            log.info("web configuration read again: %s", self._path)

    def _adopt(self, fresh: _Settings) -> None:
        """Put other settings in force. Raises ConfigurationError for what only a start can change."""
        tls = self._settings.tls
        if (fresh.tls and fresh.tls.fixed) != (tls and tls.fixed):
            problem = "only users, cert_file and key_file can change without a restart"
            raise ConfigurationError((Mistake(str(self._path), None, "tls_server_config", problem),))
        if tls is not None and fresh.tls is not None:
            tls.context.load_cert_chain(*fresh.tls.pair, password="")
            fresh = replace(fresh, tls=replace(fresh.tls, context=tls.context))
        self._settings = fresh
        self._right.clear()
        self._wrong.clear()

    def _stamp_now(self) -> tuple[object, ...]:
        """What changes when one of the files does."""
        if self._path is None:
            return ()
        tls = self._settings.tls
        return tuple(_stamp(path) for path in (self._path, *(tls.pair if tls else ())))

    async def admits(self, authorization: str) -> bool:
        """Whether an Authorization header names a user with the right password.

        bcrypt is slow on purpose, so it runs in a thread: guesses must not hold up the loop and every probe in it.
        """
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = b64decode(encoded, validate=True).decode("utf-8").partition(":")
        except ValueError:
            return False
        stored = self._settings.users.get(user, _DUMMY)
        # The key is random per process, and the parts cannot run into one another: a poisoned cache stays out.
        parts = (user.encode(), stored, password.encode())
        mark = hmac.digest(
            self._key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256"
        )
        if mark in self._right or mark in self._wrong:
            return mark in self._right
        verdict = await asyncio.to_thread(_check, password, stored) and user in self._settings.users
        # Guesses have a place of their own: however many there are, they push nobody out who is known.
        known = self._right if verdict else self._wrong
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known.add(mark)
        return verdict


def _check(password: str, stored: bytes) -> bool:
    import bcrypt

    try:
        return bcrypt.checkpw(password.encode("utf-8")[:72], stored)
    except ValueError:
        return False


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _read(path: Path) -> _Settings:
    """The settings in a file. Raises ConfigurationError with every mistake."""
    mistakes: list[Mistake] = []

    def wrong(where: str, problem: str) -> None:
        mistakes.append(Mistake(str(path), None, where, problem))

    document = _document(path)
    for key in document.keys() - {"tls_server_config", "basic_auth_users"}:
        wrong(str(key), "is not supported here; tls_server_config and basic_auth_users are")
    users = _users(document.get("basic_auth_users"), wrong)
    tls = _tls(path, document.get("tls_server_config"), wrong)
    if mistakes:
        raise ConfigurationError(tuple(mistakes))
    return _Settings(tls, users)


def _document(path: Path) -> dict[Any, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "strerror", None) or "is no YAML document"
        raise ConfigurationError(
            (Mistake(str(path), mark.line + 1 if mark else None, "", problem.lower()),)
        ) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError((Mistake(str(path), None, "", "must be a mapping"),))
    return document


def _users(given: object, wrong: _Wrong) -> dict[str, bytes]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        wrong("basic_auth_users", "must map user names to bcrypt hashes")
        return {}
    users = {}
    for user, stored in given.items():
        if (
            not isinstance(stored, str)
            or not stored.startswith(("$2a$", "$2b$", "$2y$"))
            or len(stored) != 60
        ):
            wrong(f"basic_auth_users.{user}", "must be a bcrypt hash; htpasswd -nBC 10 makes one")
        else:
            users[str(user)] = stored.encode("ascii", "replace")
    if users:
        try:
            import bcrypt  # noqa: F401
        except ImportError:
            wrong(
                "basic_auth_users", "needs the package bcrypt: pip install 'powerwall-probe-exporter[bcrypt]'"
            )
    return users


def _tls(path: Path, given: object, wrong: _Wrong) -> _Tls | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        wrong("tls_server_config", "must be a mapping")
        return None
    for key in given.keys() - _TLS_KEYS:
        wrong(f"tls_server_config.{key}", f"is not supported here; {', '.join(sorted(_TLS_KEYS))} are")
    client_auth = str(given.get("client_auth_type", "NoClientCert"))
    version = str(given.get("min_version", "TLS12"))
    if client_auth not in _CLIENT_AUTH:
        wrong("tls_server_config.client_auth_type", f"must be one of {', '.join(_CLIENT_AUTH)}")
    if version not in _VERSIONS:
        wrong("tls_server_config.min_version", f"must be one of {', '.join(_VERSIONS)}")
    for key in ("cert_file", "key_file"):
        if not isinstance(given.get(key), str):
            wrong(f"tls_server_config.{key}", "is missing")
            return None
    needs_authorities = client_auth == "RequireAndVerifyClientCert" or "client_ca_file" in given
    if needs_authorities and not isinstance(given.get("client_ca_file"), str):
        wrong("tls_server_config.client_ca_file", "is missing; client certificates are checked against it")
        return None
    if client_auth not in _CLIENT_AUTH or version not in _VERSIONS:
        return None
    return _load(path, given, client_auth, version, wrong)


def _load(path: Path, given: dict[str, str], client_auth: str, version: str, wrong: _Wrong) -> _Tls | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[version]
    pair = (path.parent / given["cert_file"], path.parent / given["key_file"])
    authorities = b""
    try:
        context.load_cert_chain(*pair, password="")  # else OpenSSL would ask the terminal for it
    except (OSError, ssl.SSLError) as error:
        wrong("tls_server_config", f"cert_file and key_file cannot be used: {_reason(error)}")
        return None
    if "client_ca_file" in given:
        try:
            authorities = (path.parent / given["client_ca_file"]).read_bytes()
            context.load_verify_locations(cadata=authorities.decode("ascii"))
        except (OSError, ssl.SSLError, UnicodeError) as error:
            wrong("tls_server_config.client_ca_file", f"cannot be used: {_reason(error)}")
            return None
    context.verify_mode = _CLIENT_AUTH[client_auth]
    return _Tls(context, pair, (client_auth, version, authorities))


def _reason(error: Exception) -> str:
    return (
        (getattr(error, "reason", None) or getattr(error, "strerror", None) or "no PEM file")
        .replace("_", " ")
        .lower()
    )
