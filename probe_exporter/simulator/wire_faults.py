"""Faults of the wire: answers that come late, in part, too long, or not at all."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import Final

from probe_exporter.simulator.fault import FaultyExchange
from probe_exporter.simulator.messages import Ending, Steps, head
from probe_exporter.simulator.system import JSON_TYPE, SimulatedAnswer

HUGE: Final = 400 << 20
"""Bytes of a huge body, and of what a gzip bomb unpacks to."""

_CHUNK: Final = 1 << 16
_GZIP_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
_DEFLATE_END: Final = b"\x03\0"


def hang(exchange: FaultyExchange) -> Steps:
    """Nothing, or half an answer and then nothing."""
    if exchange.place == "body":
        yield _half(exchange)
    yield Ending.HANG


def reset(exchange: FaultyExchange) -> Steps:
    """A TCP reset before the answer, or in the middle of it."""
    if exchange.place == "body":
        yield _half(exchange)
        yield 0.05  # so that the half arrives before the reset overtakes it
    yield Ending.RESET


def close_early(exchange: FaultyExchange) -> Steps:
    """The connection ends before the answer, or in the middle of it."""
    if exchange.place == "body":
        yield _half(exchange)
    yield Ending.CUT


def drip(exchange: FaultyExchange) -> Steps:
    """Send a byte at a time, from the head on or from the body on."""
    answer = exchange.answer
    start, rest = (
        (head(answer), answer.body) if exchange.place == "body" else (b"", head(answer) + answer.body)
    )
    if start:
        yield start
    for index in range(len(rest)):
        yield rest[index : index + 1]
        yield exchange.fault.seconds


def endless_headers(exchange: FaultyExchange) -> Steps:
    """A head that does not end."""
    yield head(exchange.answer)[:-2]
    while True:
        yield b"x-padding: " + b"p" * 4096 + b"\r\n"


def too_long_length(exchange: FaultyExchange) -> Steps:
    """A Content-Length that promises more than comes before the connection is closed."""
    yield head(exchange.answer, len(exchange.answer.body) + 64) + exchange.answer.body
    yield Ending.CLOSE


def too_short_length(exchange: FaultyExchange) -> Steps:
    """A Content-Length that ends in the middle of the body; the rest follows, as if it were the next answer."""
    yield head(exchange.answer, len(exchange.answer.body) // 2) + exchange.answer.body


def huge_body(exchange: FaultyExchange) -> Steps:
    """400 MB of white space in a JSON document, until the client closes the connection."""
    yield head(SimulatedAnswer(200, b""), HUGE) + b"["
    sent = 1
    while sent < HUGE:
        size = min(_CHUNK, HUGE - sent)
        yield b" " * size
        sent += size


def gzip_bomb(exchange: FaultyExchange) -> Steps:
    """A small compressed body that unpacks to 400 MB, although nobody asked for compression."""
    packed = bomb()
    yield head(SimulatedAnswer(200, packed, JSON_TYPE, (("content-encoding", "gzip"),))) + packed


def certificate_swap(exchange: FaultyExchange) -> Steps:
    """The right answer, then another certificate from the next connection on."""
    yield head(exchange.answer) + exchange.answer.body
    exchange.swap_certificate()
    yield Ending.CLOSE


def not_http(exchange: FaultyExchange) -> Steps:
    """An answer that is not HTTP."""
    del exchange
    yield b"SSH-2.0-OpenSSH_9.2\r\n"
    yield Ending.CLOSE


@lru_cache(maxsize=2)
def bomb(size: int = HUGE) -> bytes:
    """A gzip stream of ``size`` bytes (whole MiB) of white space, a thousandth as long.

    One MiB is compressed, so that it refers to nothing before it, and then repeated: all of it would take seconds.
    """
    chunk = b" " * (1 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(chunk) + packer.flush(zlib.Z_FULL_FLUSH)
    count = size >> 20
    checksum = 0
    for _ in range(count):
        checksum = zlib.crc32(chunk, checksum)
    return _GZIP_HEAD + block * count + _DEFLATE_END + struct.pack("<II", checksum, count << 20)


def _half(exchange: FaultyExchange) -> bytes:
    body = exchange.answer.body
    return head(exchange.answer, max(len(body), 2)) + body[: len(body) // 2]
