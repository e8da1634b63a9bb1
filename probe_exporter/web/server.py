"""uvicorn, with what it lacks: a deadline for request headers, a cap on connections, exit 0 after SIGTERM.

It keeps answering beside hung probes and slow clients, drains and has TLS. The protocol class is no documented
interface of it, so a test holds us to the parts that are used.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from probe_exporter.errors import ConfigurationError, Mistake
from probe_exporter.web.app import Application
from probe_exporter.web.messages import MAX_HEAD, App
from probe_exporter.web.options import WebOptions
from probe_exporter.web.webconfig import WebSecurity

log = logging.getLogger(__name__)

HEADER_DEADLINE: Final = 10.0
"""Seconds that a client may take to send a request's headers."""

IDLE_TIMEOUT: Final = 120
"""Seconds that an idle connection is kept: longer than Prometheus' usual intervals."""

UNREAD_TIMEOUT: Final = 30.0
"""Seconds that a client may leave an answer unread while more of it waits to be sent."""

MAX_CONNECTIONS: Final = 4096


class BoundedProtocol(H11Protocol):
    """Cuts off a client that does not finish its headers in time, does not read, or comes beyond the cap.

    Every connection that waits for its client is under a clock: that of the headers, that of an unread answer, or
    uvicorn's for idle ones.
    """

    _header_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse above the cap; otherwise start the clock."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a request's headers are whole; start it at the first byte of the next one."""
        if self._header_timer is None and self.conn.their_state is h11.IDLE:
            self._await_headers()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_header_timer()

    def on_response_complete(self) -> None:
        """A request that waited behind this one may have its headers already, or the beginning of them.

        Nobody here reads bodies: a client that is still sending one when it has its answer would hold the
        connection for as long as it likes.
        """
        self._stop_header_timer()
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._await_headers()

    def pause_writing(self) -> None:
        """The client does not read, and an answer piles up: start the clock."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(UNREAD_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        self._stop_unread_timer()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Closing would wait for what the client has not read; this one had its time."""
        super().timeout_keep_alive_handler()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind, and no transport that Python 3.10 would call unclosed after a reset."""
        self._stop_header_timer()
        self._stop_unread_timer()
        super().connection_lost(exc)
        self.transport.abort()

    def _await_headers(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_DEADLINE, self.transport.abort)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None


class _Server(uvicorn.Server):
    """Drains the application before uvicorn waits for connections to end."""

    def __init__(self, config: uvicorn.Config, application: Application, options: WebOptions) -> None:
        super().__init__(config)
        self._application = application
        self._drain = options.drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new probes; let the running ones answer."""
        self._application.runner.drain(self._drain)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGTERM and SIGINT without raising them again afterwards: a drained exit is exit 0."""
        loop = asyncio.get_running_loop()
        handled = (signal.SIGTERM, signal.SIGINT)
        for number in handled:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._application.reload)
        try:
            yield
        finally:
            for number in (*handled, signal.SIGHUP):
                loop.remove_signal_handler(number)


def listen(address: str) -> list[socket.socket]:
    """Sockets for ``:port``, ``host:port`` or ``[v6]:port``. Raises ConfigurationError where that cannot be."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise _unusable(address, "is no address; write :9871, 127.0.0.1:9871 or [::1]:9871")
    host = host.strip("[]")
    try:
        if host:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, int(port)), family=family, backlog=1024)
        else:
            listener = _listen_everywhere(int(port))
    except OSError as error:
        raise _unusable(
            address, f"cannot be listened on: {(error.strerror or str(error)).lower()}"
        ) from error
    # What is accepted inherits it. Without it the body of an answer waits 40 ms for the client to confirm its head:
    # asyncio switches Nagle's algorithm off only where a socket was made with the protocol spelt out.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return [listener]


def _listen_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("", port), family=socket.AF_INET6, backlog=1024, dualstack_ipv6=True)
    return socket.create_server(("", port), backlog=1024)


def _unusable(address: str, problem: str) -> ConfigurationError:
    return ConfigurationError((Mistake("web.listen_address", None, address, problem),))


def serve(application: Application, options: WebOptions) -> None:
    """Serve until SIGTERM or SIGINT; returns when drained. Raises ConfigurationError where it cannot start."""
    security = WebSecurity.load(options.web_config_file)
    sockets = listen(options.listen_address)
    server = _Server(uvicorn_config(security.guard(application), security), application, options)
    try:
        asyncio.run(server.serve(sockets=sockets))
    finally:
        for one in sockets:
            one.close()
        application.runner.close()
    if application.runner.busy:
        # A thread that is stuck in a name lookup would hold the exit for as long as it likes.
        logging.shutdown()
        os._exit(0)


def uvicorn_config(app: App, security: WebSecurity) -> uvicorn.Config:
    """What uvicorn is told where its default does not suit a long-lived server."""
    settings: dict[str, Any] = {}
    if security.tls:
        settings["ssl_context_factory"] = lambda *_: security.ssl_context()
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.ERROR,  # a line for every request that is none would be anybody's to write
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_TIMEOUT,
        timeout_graceful_shutdown=None,
        h11_max_incomplete_event_size=MAX_HEAD,
        **settings,
    )
