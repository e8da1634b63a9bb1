"""A listening socket that can refuse or swallow connections, and keeps its port meanwhile."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Literal

Mode = Literal["accept", "refuse", "black_hole"]

_FILLERS = 4
"""Connections that fill the queue of a socket that listens with a backlog of 0."""


class Listener:
    """Owns the socket of one gateway; all methods run in the event loop.

    Bound without listening, a socket refuses connections. With a full queue it silently drops the first packet of
    further connections, as a gateway does that has lost its Wi-Fi.
    """

    def __init__(self, host: str, port: int, factory: Callable[[], asyncio.Protocol]) -> None:
        self._host = host
        self.port = port
        self.mode: Mode = "accept"
        self._factory = factory
        self._lock = asyncio.Lock()
        self._pending: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._fillers: list[socket.socket] = []

    async def open(self) -> None:
        """Bind and accept. Raises OSError."""
        self._socket = self._bind()
        self._listen(self._socket)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setblocking(False)
            bound.bind((self._host, self.port))
        except BaseException:
            bound.close()
            raise
        self.port = bound.getsockname()[1]
        return bound

    def _listen(self, bound: socket.socket) -> None:
        # Not loop.create_server: its close() leaks a connection that was accepted a moment before.
        bound.listen(1024)
        asyncio.get_running_loop().add_reader(bound.fileno(), self._accept, bound)

    def _accept(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(64):
            try:
                accepted, _peer = bound.accept()
            except OSError:  # none waits any more, or it has gone again
                return
            accepted.setblocking(False)
            task = loop.create_task(_connect(loop, self._factory, accepted))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    async def switch(self, mode: Mode) -> None:
        """Change over to ``mode``; the port stays ours except for an instant."""
        async with self._lock:
            await self.close()
            self._socket = self._bind()
            self.mode = mode
            if mode == "accept":
                self._listen(self._socket)
            elif mode == "black_hole":
                self._fill(self._socket)

    def _fill(self, bound: socket.socket) -> None:
        bound.listen(0)
        for _ in range(_FILLERS):
            filler = socket.socket(bound.family, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex((self._host, self.port))
            self._fillers.append(filler)

    async def close(self) -> None:
        """Release the port."""
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._pending:
            await asyncio.wait(self._pending)


async def _connect(
    loop: asyncio.AbstractEventLoop, factory: Callable[[], asyncio.Protocol], accepted: socket.socket
) -> None:
    try:
        await loop.connect_accepted_socket(factory, accepted)
    except OSError:  # reset before it was looked at
        accepted.close()
