"""The exporter's port, from its sockets to the last answer after SIGTERM.

The loop, the signals and the drain are ours; HTTP itself is uvicorn's protocol over h11.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from email.utils import formatdate
from typing import Final

import uvicorn
from uvicorn.server import ServerState

from probe_exporter.web import systemd
from probe_exporter.web.accepting import Acceptor
from probe_exporter.web.addresses import listen, prepare, shown
from probe_exporter.web.app import Application
from probe_exporter.web.connection import IDLE_TIMEOUT, BoundedProtocol
from probe_exporter.web.messages import MAX_HEAD, App
from probe_exporter.web.options import WebOptions
from probe_exporter.web.security import WebSecurity

_LAST_ANSWERS: Final = 1.0
"""Seconds of the drain that are reserved for answers that are being sent."""

_LOOK: Final = 0.05
"""Seconds between two checks of what is still under way."""


class Server:
    """The listening sockets, open from the beginning, and every connection to them."""

    def __init__(self, application: Application, options: WebOptions) -> None:
        """Raises ConfigurationError for what can never be served, OSError for what cannot be served now."""
        self._application = application
        self._drain_seconds = options.drain
        self._security = WebSecurity.load(options.web_config_file)
        self._listeners = (
            systemd.inherited_sockets() if options.systemd_socket else listen(options.listen_addresses)
        )
        for listener in self._listeners:
            prepare(listener)
        self.addresses = [shown(listener) for listener in self._listeners]
        self._config = protocol_config(self._security.guard(application))
        self._config.load()
        self._state = ServerState()
        self._stopping = asyncio.Event()
        self._in_haste = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def busy(self) -> bool:
        """Return True if a reload or a check of a password is under way."""
        return self._application.busy or self._security.busy

    def run(self, beside: Callable[[], Coroutine[None, None, None]] | None = None) -> None:
        """Serve until SIGTERM, SIGINT or `stop`; returns when drained. ``beside`` runs on the loop until then."""
        try:
            asyncio.run(self._serve(beside))
        finally:
            self._application.close()
            self._security.close()

    def stop(self) -> None:
        """End, from any thread; a second call does not wait for anybody."""
        if self._loop is None:
            self._stopping.set()
        else:
            self._loop.call_soon_threadsafe(self._on_stop)

    async def _serve(self, beside: Callable[[], Coroutine[None, None, None]] | None) -> None:
        self._loop = asyncio.get_running_loop()
        task = None if beside is None else self._loop.create_task(beside())
        acceptor = Acceptor(
            self._listeners, self._protocol, self._security.current_context, self._state.connections
        )
        with self._signals(self._loop):
            acceptor.open()
            systemd.notify_ready()
            while not self._stopping.is_set():
                self._state.default_headers = [(b"date", formatdate(usegmt=True).encode("ascii"))]
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), 1.0)
            acceptor.close()
            if task is not None:
                task.cancel()
            await self._drain(self._loop.time() + self._drain_seconds)

    def _protocol(self) -> BoundedProtocol:
        return BoundedProtocol(self._config, self._state, {}, self._loop)

    @contextlib.contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """End on SIGTERM and SIGINT with exit 0, reload on SIGHUP. A SIGHUP held back since the start counts."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        try:
            yield
        finally:
            # Without a handler it would end the process before its exit code is known.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})

    def _on_stop(self) -> None:
        self._in_haste = self._stopping.is_set()
        self._stopping.set()

    def _on_hangup(self) -> None:
        self._security.refresh()
        self._application.request_reload()

    async def _drain(self, end: float) -> None:
        """Take no new probes, let the running ones answer, and at ``end`` cut off clients that have not read."""
        loop = asyncio.get_running_loop()
        self._application.drain(self._drain_seconds - _LAST_ANSWERS)
        self._security.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        while (self._state.connections or self._state.tasks) and loop.time() < end and not self._in_haste:
            await asyncio.sleep(_LOOK)
        for connection in list(self._state.connections):
            connection.transport.abort()
        for task in self._state.tasks:
            task.cancel()
        await asyncio.sleep(0)


def leave(server: Server) -> None:
    """End the process with exit code 0 where a reload or a check of a password would hold the exit up."""
    if server.busy:
        logging.shutdown()
        os._exit(0)


def protocol_config(app: App) -> uvicorn.Config:
    """Return the options of uvicorn's protocol whose defaults do not suit a long-lived server."""
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.ERROR,  # otherwise a stranger could fill the log with lines about requests that are not HTTP
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_TIMEOUT,
        h11_max_incomplete_event_size=MAX_HEAD,
    )
