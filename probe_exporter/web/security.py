"""The protection of the port by the web configuration, whose files are followed while the exporter runs."""

from __future__ import annotations

import logging
import math
import ssl
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

from probe_exporter.errors import ConfigurationError, Mistake
from probe_exporter.web.messages import Answer, App, BadRequestError, Receive, Request, Scope, Send
from probe_exporter.web.passwords import PasswordCheck, TooManyGuessesError
from probe_exporter.web.webconfig import WebConfigFile, WebSettings

log = logging.getLogger(__name__)

RETRY_INTERVAL: Final = 10.0
"""Seconds until a file with a mistake is read again though it has not changed: the cause may be elsewhere."""


class WebSecurity:
    """The settings in force. The files are read again when one changes; a bad one changes nothing but the log.

    They are looked at for each connection and each request, so that a renewed certificate is shown at the next
    handshake even if every client refuses the old one.
    """

    def __init__(self, file: WebConfigFile | None, settings: WebSettings) -> None:
        self._file = file
        self._settings = settings
        self._next_try = math.inf
        self._told = ""
        self._passwords = PasswordCheck()
        if file is not None:
            self._passwords.start()

    @classmethod
    def load(cls, path: Path | None) -> WebSecurity:
        """From the file, or without any where there is none. Raises ConfigurationError with every mistake."""
        if path is None:
            return cls(None, WebSettings())
        file = WebConfigFile(path)
        return cls(file, file.read())

    @property
    def busy(self) -> bool:
        """Return True if a password is being checked."""
        return self._passwords.busy

    @property
    def tls(self) -> bool:
        """Return True if the port uses TLS."""
        return self._settings.tls is not None

    def current_context(self) -> ssl.SSLContext | None:
        """The TLS context of the connection that comes now; None for plain HTTP."""
        self.refresh()
        return self._settings.tls.context if self._settings.tls is not None else None

    def close(self) -> None:
        """Stop checking passwords."""
        self._passwords.close()

    def guard(self, app: App) -> App:
        """The application behind basic auth and with the configured headers, where they are or may be later."""
        if self._file is None:
            return app

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            self.refresh()
            send = self._with_headers(send)
            refusal = await self._refusal(scope) if self._settings.users else None
            if refusal is None:
                await app(scope, receive, send)
            else:
                await refusal.send(Request.unread(scope), send)

        return guarded

    async def _refusal(self, scope: Scope) -> Answer | None:
        """The answer to a request that names no user with the right password; None for one that does."""
        try:
            request = Request.of({**scope, "query_string": b""})
            admitted = await self._passwords.admits(
                self._settings.users or {}, request.headers.get("authorization", "")
            )
        except BadRequestError as error:
            return Answer.refusal(error)
        except TooManyGuessesError:
            return Answer.line(503, "too many passwords wait to be checked", Retry_After="5")
        if admitted:
            return None
        challenge = 'Basic realm="probe_exporter"'
        return Answer.line(401, "a user and a password are needed", WWW_Authenticate=challenge)

    def _with_headers(self, send: Send) -> Send:
        """Return a sender that adds the configured headers; they replace ours of the same name."""
        configured = self._settings.headers
        if not configured:
            return send

        async def adding(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = list((dict(message["headers"]) | configured).items())
            await send(message)

        return adding

    def refresh(self) -> None:
        """Read the files again where one changed. Connections to come take a new certificate over."""
        if self._file is None:
            return
        changed = self._file.changed()
        if not changed and time.monotonic() < self._next_try:
            return
        try:
            self._adopt(self._file.read())
        except ConfigurationError as error:
            self._next_try = time.monotonic() + RETRY_INTERVAL
            if changed or str(error) != self._told:
                log.error("reload of the web configuration failed, keeping the previous one: %s", error)
            self._told = str(error)
        else:
            self._next_try, self._told = math.inf, ""
            log.info("web configuration read again: %s", self._file.path)

    def _adopt(self, fresh: WebSettings) -> None:
        """Put other settings in force. Raises ConfigurationError for what would open the port by accident.

        The file may be read while it is being written. So protection is removed only by an explicit value, or by a
        restart.
        """
        old = self._settings
        if (fresh.tls and fresh.tls.client_auth) != (old.tls and old.tls.client_auth):
            self._refuse("tls_server_config", "TLS and client_auth_type cannot change without a restart")
        if old.users and fresh.users is None:
            self._refuse("basic_auth_users", "is missing; write basic_auth_users: {} to ask for no password")
        if fresh.users != old.users:
            self._passwords.forget()
        self._settings = fresh

    def _refuse(self, where: str, problem: str) -> None:
        raise ConfigurationError((Mistake(str(self._file and self._file.path), None, where, problem),))
