"""A simulated gateway: a listening socket on loopback, a system behind it, sessions, faults and counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, final

from probe_exporter.simulator.certificates import SimulatedCertificate, make_certificate
from probe_exporter.simulator.connection import ClientConnection
from probe_exporter.simulator.counts import Counts
from probe_exporter.simulator.fault import FaultyExchange
from probe_exporter.simulator.faults import Faults
from probe_exporter.simulator.listener import Listener
from probe_exporter.simulator.loop import LoopThread
from probe_exporter.simulator.messages import ClientRequest, Steps, plain
from probe_exporter.simulator.sessions import LOGIN, Sessions
from probe_exporter.simulator.system import SimulatedAnswer, System, refusal

if TYPE_CHECKING:
    from probe_exporter.simulator.tedapi import Tedapi

PASSWORD = "simulated-password"
EMAIL = "owner@example.org"

_NOT_ALLOWED = refusal(405, "Method Not Allowed", "Only GET")


@final
class SimulatedGateway:
    """A gateway on its own port of ``host``; a context manager.

    Without ``loop`` it brings a thread of its own. ``latency`` is in seconds and may be changed at any time, as may
    ``system``, ``faults`` and ``sessions``. ``email`` is checked where it is given.
    """

    def __init__(
        self,
        system: System,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        email: str | None = None,
        password: str = PASSWORD,
        latency: float = 0.0,
        certificate: SimulatedCertificate | None = None,
        lock_after: int | None = None,
        missing_status: Literal[401, 403] = 403,
        loop: LoopThread | None = None,
    ) -> None:
        self.system = system
        self.host = host
        self.port = port
        self.latency = latency
        self.certificate = certificate or make_certificate()
        self.sessions = Sessions(password, email, lock_after, missing_status)
        self.faults = Faults(self._apply_faults)
        self.tedapi: Tedapi | None = None
        """The newer interface, where it is switched on: ``gateway.tedapi = Tedapi(LivingSource(site))``."""
        self._counts = Counts()
        self.connections: set[ClientConnection] = set()
        self._own_loop = loop is None
        self._loop = loop
        self._listener: Listener | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # Life

    def __enter__(self) -> SimulatedGateway:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Listen. Raises OSError where the port is taken."""
        if self._loop is None:
            self._loop = LoopThread()
            self._loop.start()
        try:
            self._listener = self._loop.run(self._listen())
        except BaseException:
            self.close()
            raise
        self._apply_faults()

    async def _listen(self) -> Listener:
        loop = asyncio.get_running_loop()
        listener = Listener(self.host, self.port, lambda: ClientConnection(self, loop))
        await listener.open()
        self.port = listener.port
        return listener

    def close(self) -> None:
        """Stop listening, drop every connection, and end the thread where it is our own."""
        if self._loop is None:
            return
        if self._listener is not None:
            self._loop.run(self._close())
            self._listener = None
        if self._own_loop:
            self._loop.close()
            self._loop = None

    async def _close(self) -> None:
        if self._listener is not None:
            await self._listener.close()
        await self._drop()

    async def _drop(self) -> None:
        for connection in list(self.connections):
            connection.abort()
        while self.connections:
            await asyncio.sleep(0)

    # Facts and switches

    @property
    def address(self) -> str:
        """``host:port``, as a configuration names it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def counts(self) -> Counts:
        """The counts of clients so far, including requests that have arrived at this moment."""
        if self._listener is not None and self._loop is not None and not self._loop.here:
            self._loop.run(_settle())
        return self._counts

    @property
    def password(self) -> str:
        """The password that the login takes."""
        return self.sessions.password

    @property
    def email(self) -> str:
        """An e-mail address that the login takes."""
        return self.sessions.email or EMAIL

    def revoke_tokens(self) -> None:
        """Forget every session."""
        self.sessions.revoke()

    def swap_certificate(self, certificate: SimulatedCertificate | None = None) -> SimulatedCertificate:
        """Show another certificate from the next connection on; returns it."""
        self.certificate = certificate or make_certificate()
        return self.certificate

    def drop_connections(self) -> None:
        """Reset every connection, as a reboot does."""
        if self._loop is not None:
            self._loop.run(self._drop())

    def _apply_faults(self) -> None:
        """Refuse, swallow or accept connections, by the faults now in force."""
        if self._loop is None or self._listener is None:
            return
        if self._loop.here:
            task = asyncio.get_running_loop().create_task(self._switch())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._loop.run(self._switch())

    async def _switch(self) -> None:
        if self._listener is None:
            return
        mode = self.faults.listening()
        if mode == self._listener.mode:
            return
        await self._listener.switch(mode)
        for connection in self.connections:
            connection.deafen(mode == "black_hole")
        if mode == "refuse":
            await self._drop()

    # Requests

    def respond(self, request: ClientRequest) -> Steps:
        """The steps of the answer to ``request``; called in the server's thread."""
        self._counts.asked(request)
        if self.latency:
            yield float(self.latency)
        endpoint = request.endpoint
        public = self.system.public
        newer = self.tedapi is not None and request.path.startswith("/tedapi/")
        allowed = newer or public is None or endpoint in public or self.sessions.knows(request)
        struck = self.faults.strike(request, allowed)
        answer = self._answer(request, allowed)
        if endpoint == LOGIN and request.method == "POST":
            good = answer.status == 200 and (struck is None or struck[1].keeps_answer)
            self._counts.logins += good
            self._counts.refused_logins += not good
        if struck is None:
            yield from plain(answer)
            return
        fault, kind = struck
        exchange = FaultyExchange(fault, kind.place(fault), answer, self.revoke_tokens, self._swap)
        if kind.play is not None:
            yield from kind.play(exchange)

    def _swap(self) -> None:
        self.swap_certificate()

    def _answer(self, request: ClientRequest, allowed: bool) -> SimulatedAnswer:
        if self.tedapi is not None and request.path.startswith("/tedapi/"):
            return self.tedapi.answer(request, self.sessions.knows(request))
        if request.method == "POST" and request.endpoint == LOGIN:
            return self.sessions.login(request)
        if request.method != "GET":
            return _NOT_ALLOWED
        if not allowed:
            return self.sessions.refuse()
        return self.system.answer(request.endpoint)


async def _settle() -> None:
    """Let the event loop finish what it has begun: the client sees the end of an answer before the server does."""
    for _ in range(4):
        await asyncio.sleep(0)
