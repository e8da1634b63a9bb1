"""A connection to a simulated gateway: TLS by hand, so that it can break at every point, and requests in turn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from typing import Protocol, cast

from probe_exporter.simulator.certificates import SimulatedCertificate
from probe_exporter.simulator.counts import Counts
from probe_exporter.simulator.faults import Faults
from probe_exporter.simulator.messages import ClientRequest, Ending, MalformedRequestError, Steps, parse

_LINGER_ZERO = struct.pack("ii", 1, 0)
_HTTP_TO_HTTPS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class Host(Protocol):
    """The gateway that a connection belongs to."""

    certificate: SimulatedCertificate
    faults: Faults
    connections: set[ClientConnection]

    @property
    def counts(self) -> Counts:
        """The counts that this connection adds to."""
        ...

    def respond(self, request: ClientRequest) -> Steps:
        """The steps of the answer to a request."""
        ...


class ClientConnection(asyncio.Protocol):
    """Lives in the event loop from accept to the last byte."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = host.certificate.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._established = False
        self._started = False
        self._silent = False
        self._drip: float | None = None
        self._dripping = bytearray()
        self._drip_timer: asyncio.TimerHandle | None = None
        self._buffer = bytearray()
        self._steps: Steps | None = None
        self._keep_alive = True
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._host.connections.add(self)
        self._host.counts.opened()
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fault = self._host.faults.take("connect")
        if fault is not None:
            self._end({"reset": Ending.RESET, "hang": Ending.HANG}.get(fault.kind, Ending.CUT))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if self._drip_timer is not None:
            self._drip_timer.cancel()
        self._host.connections.discard(self)
        self._host.counts.closed()

    def data_received(self, data: bytes) -> None:
        if self._silent:
            return
        if not self._started:
            self._started = True
            if self._spoil_handshake(data):
                return
        self._incoming.write(data)
        try:
            if not self._established:
                self._tls.do_handshake()
                self._established = True
                self._host.counts.handshakes += 1
            self._read()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:
            # A real gateway sends no alert either when it refuses a handshake.
            self._end(Ending.CUT)
        else:
            self._flush()
            self._next_request()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._timer is None and not self._silent:
            self._advance()

    def deafen(self, deaf: bool) -> None:
        """Leave what the client sends unread, as if it were lost on the way; or read again."""
        if not self._transport.is_closing():
            (self._transport.pause_reading if deaf else self._transport.resume_reading)()

    # Ends

    def abort(self) -> None:
        """Drop the connection with a TCP reset."""
        self._end(Ending.RESET)

    def _end(self, ending: Ending) -> None:
        self._silent = True
        if ending is Ending.HANG:
            return
        if ending is Ending.RESET:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            self._transport.abort()
            return
        if ending is Ending.CLOSE and self._established:
            self._say_goodbye()
        self._transport.close()

    def _say_goodbye(self) -> None:
        # It fails because it tries to read the other side's close_notify, for which nobody waits.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    # TLS

    def _spoil_handshake(self, data: bytes) -> bool:
        """Let a fault of the phase ``tls`` strike. Return True if that ends the handshake."""
        if data[:1] != b"\x16":
            self._transport.write(_HTTP_TO_HTTPS)
            self._end(Ending.CUT)
            return True
        fault = self._host.faults.take("tls")
        if fault is None:
            return False
        if fault.kind == "drip":
            self._drip = fault.seconds
            return False
        self._end({"reset": Ending.RESET, "hang": Ending.HANG}.get(fault.kind, Ending.CUT))
        return True

    def _read(self) -> None:
        try:
            while data := self._tls.read(1 << 16):
                self._buffer += data
        except ssl.SSLWantReadError:
            return
        self._transport.close()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if not data or self._transport.is_closing():
            return
        if self._drip is None:
            self._transport.write(data)
            return
        self._dripping += data
        if self._drip_timer is None:
            self._drip_out(self._drip)

    def _drip_out(self, pause: float) -> None:
        self._transport.write(self._dripping[:1])
        del self._dripping[:1]
        self._drip_timer = self._loop.call_later(pause, self._drip_out, pause) if self._dripping else None

    # Requests

    def _next_request(self) -> None:
        if self._steps is not None or self._silent or not self._buffer:
            return
        try:
            request = parse(self._buffer)
        except MalformedRequestError:
            self._host.counts.bad_requests += 1
            self._end(Ending.CLOSE)
            return
        if request is not None:
            self._keep_alive = request.keeps_alive
            self._host.counts.begun()
            self._steps = self._host.respond(request)
            self._advance()

    def _advance(self) -> None:
        """Take steps until one has to be waited for."""
        self._timer = None
        while self._steps is not None and not self._paused:
            step = next(self._steps, None)
            if isinstance(step, bytes):
                self._tls.write(step)
                self._flush()
                if self._transport.is_closing():
                    return
            elif isinstance(step, float):
                self._timer = self._loop.call_later(step, self._advance)
                return
            elif step is Ending.HANG:
                self._silent = True
                return
            else:
                self._finish(step)
                return

    def _finish(self, ending: Ending | None) -> None:
        self._stop()
        if ending is not None or not self._keep_alive:
            self._end(ending or Ending.CLOSE)
        else:
            self._next_request()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._steps is not None:
            self._steps = None
            self._host.counts.finished()
