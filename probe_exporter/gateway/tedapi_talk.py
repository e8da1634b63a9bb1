"""Requests to one gateway by TEDAPI: its connection, its DIN, and one question at a time."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Final

from probe_exporter.clock import Clock
from probe_exporter.config import GatewayConfig
from probe_exporter.config.tedapi_access import tedapi_address
from probe_exporter.config.tedapi_section import TedapiConfig
from probe_exporter.errors import DeadlineError, RecipientError
from probe_exporter.gateway.transport import Connection, Dialler
from probe_exporter.gateway.wire import AnswerReader, HttpAnswer, request
from probe_exporter.tedapi.channel import (
    DIN_PATH,
    Incoming,
    LanChannel,
    Outgoing,
    WifiChannel,
    check_status,
    read_din,
)
from probe_exporter.tedapi.questions import Din, Question
from probe_exporter.tedapi.signing import SigningKey
from probe_exporter.telemetry import Telemetry

_CONNECT_TIMEOUT: Final = 5.0


class TedapiTalk:
    """Asks one question at a time, on one connection that is kept between them.

    ``owner_headers`` gives the lines of a session of the owner interface, empty where there is none.
    """

    def __init__(
        self,
        config: GatewayConfig,
        section: TedapiConfig,
        clock: Clock,
        owner_headers: Callable[[], bytes],
        telemetry: Telemetry,
    ) -> None:
        self._section = section
        self._clock = clock
        self._owner_headers = owner_headers
        self._telemetry = telemetry
        self._channel: LanChannel | WifiChannel
        if section.rsa_key is not None:
            self._channel = LanChannel(SigningKey(section.rsa_key.reveal().encode("ascii")), section.queries)
        elif section.password is not None:
            self._channel = WifiChannel(section.password, section.queries)
        else:
            raise ValueError("a section without a key and without a password")
        address = tedapi_address(config, section)
        self._dialler = Dialler(address)
        self._din = section.keys.din
        self._connection: Connection | None = None
        self.reaches_followers = self._channel.reaches_followers

    @property
    def pinned(self) -> bool:
        """Return True if the certificate at the address of TEDAPI is pinned."""
        return self._dialler.pinned

    @property
    def certificate(self) -> bytes | None:
        """The certificate that was shown last, DER."""
        return self._dialler.certificate

    def ask(self, question: Question, din: Din | None) -> tuple[dict[str, object], float]:
        """The document that answers ``question``, of the gateway itself where ``din`` is None.

        The second value is the middle of its request, in Unix seconds. Raises a GatewayError.
        """
        leader = self._leader()
        try:
            return self._answer(question, din or leader, leader)
        except RecipientError:
            if self._section.keys.din is not None:
                raise
            self._din = None  # the gateway was replaced: its DIN is asked again, once
            leader = self._leader()
            return self._answer(question, din or leader, leader)

    def _answer(self, question: Question, din: Din, leader: Din) -> tuple[dict[str, object], float]:
        deadline = time.monotonic() + self._section.keys.request_timeout
        connection = self._connected(deadline)
        sent = self._clock.time()  # signed once the connection is open: a signature is valid for 12 s
        answer = self._exchange(connection, self._channel.request(question, din, leader, sent), deadline)
        now = self._clock.time()
        incoming = Incoming(answer.status, answer.headers, answer.body, now)
        return self._channel.document(question, din, incoming), (sent + now) / 2.0

    def _leader(self) -> Din:
        """The DIN of the gateway: configured, kept, or asked for once."""
        if self._din is None:
            self._din = self._ask_din()
        return self._din

    def _ask_din(self) -> Din:
        deadline = time.monotonic() + self._section.keys.request_timeout
        connection = self._connected(deadline)
        if isinstance(self._channel, WifiChannel):
            answer = self._exchange(connection, self._channel.din_request(), deadline)
            return self._channel.din(_incoming(answer, self._clock.time()))
        session = self._owner_headers()
        if not session:
            raise DeadlineError("the DIN is asked for with the owner's session, and there is none yet")
        asked = request("GET", DIN_PATH, connection.host_header, session, accept="text/plain, */*")
        incoming = _incoming(self._sent(connection, asked, deadline), self._clock.time())
        check_status(incoming)
        return read_din(incoming.body)

    # The connection

    def _connected(self, deadline: float) -> Connection:
        connection = self._connection
        if connection is not None and connection.stale:
            self.close()
            connection = None
        if connection is None:
            connection = self._dialler.dial(min(_CONNECT_TIMEOUT, deadline - time.monotonic()))
            self._connection = connection
        return connection

    def _exchange(self, connection: Connection, outgoing: Outgoing, deadline: float) -> HttpAnswer:
        lines = "".join(f"{name}: {value}\r\n" for name, value in outgoing.headers.items()).encode("ascii")
        data = request(
            outgoing.method,
            outgoing.path,
            connection.host_header,
            lines,
            outgoing.body,
            accept=outgoing.accept,
        )
        return self._sent(connection, data, deadline)

    def _sent(self, connection: Connection, data: bytes, deadline: float) -> HttpAnswer:
        self._telemetry.gateway_requests.inc()
        try:
            answer = _ask_once(connection, data, deadline)
        except BaseException:
            self.close()
            raise
        if not answer.reusable:
            self.close()
        return answer

    def close(self) -> None:
        """Close the connection; the next question opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _ask_once(connection: Connection, data: bytes, deadline: float) -> HttpAnswer:
    """Send one request and wait for its answer. Raises ConnectError, DeadlineError or DecodeError."""
    connection.send(data, deadline)
    reader = AnswerReader(may_be_gzip=True)
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    while reader.answer is None:
        received = connection.receive()
        if received is not None:
            reader.feed(received)
        left = deadline - time.monotonic()
        if reader.answer is None and (left <= 0.0 or (received is None and not poller.poll(left * 1000))):
            raise DeadlineError("the gateway did not answer in time")
    return reader.answer


def _incoming(answer: HttpAnswer, now: float) -> Incoming:
    return Incoming(answer.status, answer.headers, answer.body, now)
