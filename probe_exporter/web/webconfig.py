"""TLS and basic auth for the exporter's own port, in the format of Prometheus' exporter-toolkit."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import ssl
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from probe_exporter.errors import ConfigurationError, Mistake
from probe_exporter.web.messages import Answer, App, Receive, Request, Scope, Send

log = logging.getLogger(__name__)

_TLS_KEYS: Final = {"cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version"}
_CLIENT_AUTH: Final = {"NoClientCert": ssl.CERT_NONE, "RequireAndVerifyClientCert": ssl.CERT_REQUIRED}
_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_DUMMY: Final = b"$2b$10$abcdefghijklmnopqrstuuzZ4lCyx7pXx0yEJm0LBVQmVJ5kCkbKa"
"""A hash that no password has: an unknown user costs the time of a known one."""


@dataclass(frozen=True, slots=True)
class _Settings:
    """What one reading of the file said. Hashes are bcrypt's."""

    context: ssl.SSLContext | None = None
    users: dict[str, bytes] = field(default_factory=dict)


class WebSecurity:
    """The settings in force. The file is read again when it changes; a bad one changes nothing but the log.

    Whether there is TLS at all is decided at the start.
    """

    def __init__(self, path: Path | None, settings: _Settings) -> None:
        self._path = path
        self._settings = settings
        self._stamp = _stamp(path)
        self._key = secrets.token_bytes(32)
        self._verified: dict[bytes, bool] = {}

    @classmethod
    def load(cls, path: Path | None) -> WebSecurity:
        """From the file, or without any where there is none. Raises ConfigurationError with every mistake."""
        return cls(path, _Settings() if path is None else _read(path))

    @property
    def tls(self) -> bool:
        """Whether the port speaks TLS."""
        return self._settings.context is not None

    def ssl_context(self) -> ssl.SSLContext:
        """The context of the listening socket."""
        if self._settings.context is None:
            raise ValueError("no TLS is configured")
        return self._settings.context

    def guard(self, app: App) -> App:
        """The application behind basic auth, where users are configured now or may be later."""
        if self._path is None:
            return app

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            self.refresh()
            if self._settings.users and scope["type"] == "http":
                request = Request.of({**scope, "query_string": b""})
                if not await self.admits(request.headers.get("authorization", "")):
                    challenge = 'Basic realm="probe_exporter"'
                    refusal = Answer.line(401, "a user and a password are needed", WWW_Authenticate=challenge)
                    await refusal.send(request, send)
                    return
            await app(scope, receive, send)

        return guarded

    def refresh(self) -> None:
        """Read the file again where it changed. Running TLS takes a new certificate over."""
        stamp = _stamp(self._path)
        if self._path is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            fresh = _read(self._path, self._settings.context)
        except ConfigurationError as error:
            log.error("the web configuration stays as it was: %s", error)
            return
        if (fresh.context is None) != (self._settings.context is None):
            log.error(
                "%s: TLS cannot be switched on or off without a restart; it stays as it was", self._path
            )
            return
        self._settings = fresh
        self._verified.clear()
        log.info("web configuration read again: %s", self._path)

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
        verdict = self._verified.get(mark)
        if verdict is None:
            verdict = await asyncio.to_thread(_check, password, stored) and user in self._settings.users
            if len(self._verified) >= 1024:
                self._verified.clear()
            self._verified[mark] = verdict
        return verdict


def _check(password: str, stored: bytes) -> bool:
    import bcrypt

    try:
        return bcrypt.checkpw(password.encode("utf-8")[:72], stored)
    except ValueError:
        return False


def _stamp(path: Path | None) -> tuple[int, int] | None:
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return None if status is None else (status.st_mtime_ns, status.st_ino)


def _read(path: Path, running: ssl.SSLContext | None = None) -> _Settings:
    """The settings in a file. A ``running`` context takes a new certificate for the handshakes to come."""
    mistakes: list[Mistake] = []

    def wrong(where: str, problem: str) -> None:
        mistakes.append(Mistake(str(path), None, where, problem))

    document = _document(path)
    for key in document.keys() - {"tls_server_config", "basic_auth_users"}:
        wrong(str(key), "is not supported here; tls_server_config and basic_auth_users are")
    users = _users(document.get("basic_auth_users"), wrong)
    context = _context(path, document.get("tls_server_config"), running, wrong)
    if mistakes:
        raise ConfigurationError(tuple(mistakes))
    return _Settings(context, users)


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


def _users(given: object, wrong: Any) -> dict[str, bytes]:
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


def _context(path: Path, given: object, running: ssl.SSLContext | None, wrong: Any) -> ssl.SSLContext | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        wrong("tls_server_config", "must be a mapping")
        return None
    for key in given.keys() - _TLS_KEYS:
        wrong(f"tls_server_config.{key}", f"is not supported here; {', '.join(sorted(_TLS_KEYS))} are")
    client_auth = given.get("client_auth_type", "NoClientCert")
    version = given.get("min_version", "TLS12")
    if client_auth not in _CLIENT_AUTH:
        wrong("tls_server_config.client_auth_type", f"must be one of {', '.join(_CLIENT_AUTH)}")
    if version not in _VERSIONS:
        wrong("tls_server_config.min_version", f"must be one of {', '.join(_VERSIONS)}")
    for key in ("cert_file", "key_file"):
        if not isinstance(given.get(key), str):
            wrong(f"tls_server_config.{key}", "is missing")
            return None
    if client_auth == "RequireAndVerifyClientCert" and not isinstance(given.get("client_ca_file"), str):
        wrong("tls_server_config.client_ca_file", "is missing; client certificates are checked against it")
    if client_auth not in _CLIENT_AUTH or version not in _VERSIONS:
        return None
    return _load_context(path, given, running, wrong)


def _load_context(
    path: Path, given: dict[str, str], running: ssl.SSLContext | None, wrong: Any
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[given.get("min_version", "TLS12")]
    pair = [str(path.parent / given[key]) for key in ("cert_file", "key_file")]
    try:
        context.load_cert_chain(*pair)
    except (OSError, ssl.SSLError) as error:
        wrong("tls_server_config", f"cert_file and key_file cannot be used: {_reason(error)}")
        return context
    if "client_ca_file" in given:
        try:
            context.load_verify_locations(str(path.parent / given["client_ca_file"]))
        except (OSError, ssl.SSLError) as error:
            wrong("tls_server_config.client_ca_file", f"cannot be used: {_reason(error)}")
            return context
    context.verify_mode = _CLIENT_AUTH[given.get("client_auth_type", "NoClientCert")]
    if running is None:
        return context
    running.load_cert_chain(*pair)
    return running


def _reason(error: OSError) -> str:
    return (getattr(error, "reason", None) or error.strerror or "no PEM file").replace("_", " ").lower()
