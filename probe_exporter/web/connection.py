"""A connection from a client: uvicorn's protocol, with the clocks that it lacks.

The protocol class is not a documented interface of uvicorn, so a test checks the parts that are used.
"""

from __future__ import annotations

import asyncio
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_DEADLINE: Final = 10.0
"""Seconds that a client may take to send a request's headers."""

IDLE_TIMEOUT: Final = 120
"""Seconds that an idle connection is kept: longer than Prometheus' usual intervals."""

UNREAD_TIMEOUT: Final = 30.0
"""Seconds that a client may leave an answer unread while more of it waits to be sent."""


class BoundedProtocol(H11Protocol):
    """Cuts off a client that does not finish its headers in time, or does not read.

    Every connection that waits for its client is under a clock: that of the headers, that of an unread answer, or
    uvicorn's for idle ones.
    """

    _header_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a request's headers are whole; start it where the next ones have begun and are not."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_header_timer()
        elif self._header_timer is None:
            self._await_headers()

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

    def send_400_response(self, msg: str) -> None:
        """The application may be at work on a request whose body is broken: its answer can no longer be sent."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        super().send_400_response(msg)

    def pause_writing(self) -> None:
        """The client does not read, and an answer piles up: start the clock."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(UNREAD_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        self._stop_unread_timer()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Closing would wait for what the client has not read; its time is over."""
        super().timeout_keep_alive_handler()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind, and no transport that Python 3.10 would call unclosed after a reset."""
        self._stop_header_timer()
        self._stop_unread_timer()
        self._unset_keepalive_if_required()  # uvicorn forgets it after a reset: the connection stayed for two minutes
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
