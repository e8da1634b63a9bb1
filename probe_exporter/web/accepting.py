"""Accepting connections: each is counted from its first moment, and a handshake has an end.

asyncio's own servers have no cap, do not count connections before the handshake, and call ``accept`` two thousand times
in a row where the process has no descriptor left.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable, Sized
from typing import Any, Final

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 4096

HANDSHAKE_DEADLINE: Final = 10.0
"""Seconds that a client may take for its TLS handshake."""

TLS_BUFFER: Final = 16 << 10
"""Bytes that asyncio sets aside to read from one TLS connection: a request fits; the default of 256 KiB is too much."""

_AT_ONCE: Final = 64
"""Connections that one turn of the loop accepts: answers go out in between."""

_REST: Final = 0.1
"""Seconds until the next try where the system refused to accept a connection."""

_SILENCE: Final = 60.0
"""Seconds between two log lines of one kind."""


class Acceptor:
    """Accepts from listening sockets, up to a cap, and hands the connections to their protocols.

    ``established`` are the connections that have a protocol; ``make_context`` gives the TLS settings of the moment,
    None for plain HTTP.
    """

    def __init__(
        self,
        listeners: list[socket.socket],
        make_protocol: Callable[[], asyncio.Protocol],
        make_context: Callable[[], ssl.SSLContext | None],
        established: Sized,
    ) -> None:
        self._listeners = listeners
        self._make_protocol = make_protocol
        self._make_context = make_context
        self._established = established
        self._cap = most_connections()
        asyncio.sslproto.SSLProtocol.max_size = TLS_BUFFER  # type: ignore[attr-defined]
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[None]] = set()
        self._told: dict[str, float] = {}

    def open(self) -> None:
        """Begin to accept."""
        for listener in self._listeners:
            self._watch(listener)

    def close(self) -> None:
        """Stop accepting, and drop the connections whose handshake is not complete."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        for task in self._beginning:
            task.cancel()

    def _watch(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            self._loop.add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # The socket stays readable: without a pause the loop would do nothing else.
                self._tell("no connection can be accepted now: %s", error.strerror or error)
                self._loop.remove_reader(listener)
                self._loop.call_later(_REST, self._watch, listener)
                return
            if len(self._beginning) + len(self._established) >= self._cap:
                self._tell("connections are refused: %d are open already", self._cap)
                client.close()
                continue
            client.setblocking(False)
            task = self._loop.create_task(self._begin(client))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, client: socket.socket) -> None:
        """Begin the handshake where the port has TLS. A handshake that fails is not logged."""
        context = self._make_context()
        try:
            await self._loop.connect_accepted_socket(
                self._make_protocol, client, ssl=context, **(_times_of_tls() if context else {})
            )
        except OSError as error:  # of which ssl.SSLError is one
            # Its frames hold the connection, and asyncio's hold the error: both would wait for the garbage collector.
            error.__traceback__ = None

    def _tell(self, message: str, detail: object) -> None:
        """Log it, unless the same was logged a moment ago: clients must not be able to fill the disk."""
        now = time.monotonic()
        if now - self._told.get(message, -_SILENCE) >= _SILENCE:
            self._told[message] = now
            log.warning(message, detail)


def most_connections() -> int:
    """The cap: `MAX_CONNECTIONS`, or half of the process' descriptors where that is less; gateways need the others."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return MAX_CONNECTIONS
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if limit == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, limit // 2)


def _times_of_tls() -> dict[str, Any]:
    if sys.version_info < (3, 11):
        return {"ssl_handshake_timeout": HANDSHAKE_DEADLINE}
    return {"ssl_handshake_timeout": HANDSHAKE_DEADLINE, "ssl_shutdown_timeout": 2.0}
