"""HTTP/1.1 as bytes: however an answer is cut into pieces, it reads the same; what is not an answer is an error."""

from __future__ import annotations

import gzip
import time

import h11
import pytest

from probe_exporter.errors import ConnectError, DecodeError
from probe_exporter.gateway.wire import MAX_BODY, MAX_HEAD, AnswerReader, HttpAnswer, request
from probe_exporter.simulator.wire_faults import bomb

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"

WHOLE = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "the same length twice": (OK + b"Content-Length: 5\r\ncontent-length:5 \r\n\r\nhello", b"hello", True),
    "empty": (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", b"", True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", True),
    "chunked": (CHUNKED + b"\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", b"hello", True),
    "chunked in capitals": (
        OK + b"TRANSFER-ENCODING: Chunked\r\n\r\n0A \r\n0123456789\r\n00\r\n\r\n",
        b"0123456789",
        True,
    ),
    "chunked with trailers": (CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX: y\r\nA: b\r\n\r\n", b"hello", True),
    "interim answers first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + OK
        + b"Content-Length: 5\r\n\r\nhello",
        b"hello",
        True,
    ),
    "closing": (OK + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", b"hello", False),
    "closing among others": (OK + b"Content-Length: 5\r\nConnection: x, Close\r\n\r\nhello", b"hello", False),
    "closing in a second line": (
        OK + b"Content-Length: 5\r\nConnection: keep-alive\r\nConnection: close\r\n\r\nhello",
        b"hello",
        False,
    ),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "old and kept": (
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
        b"hello",
        True,
    ),
    "until the connection closes": (OK + b"\r\nhello", b"hello", False),
    "until close, and nothing": (OK + b"\r\n", b"", False),
}

SURPLUS = {
    "more than its length": (OK + b"Content-Length: 3\r\n\r\nhello", b"hel"),
    "CRLF behind the body": (OK + b"Content-Length: 5\r\n\r\nhello\r\n", b"hello"),
    "the same answer again": (2 * (OK + b"Content-Length: 5\r\n\r\nhello"), b"hello"),
    "a body where none may be": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", b""),
    "CRLF behind the chunks": (CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n\r\n", b"hello"),
}

REFUSED = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "an empty line first": b"\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    "a bare line feed": OK + b"X: a\nContent-Length: 5\r\n\r\nhello",
    "a bare carriage return": OK + b"X: a\rb\r\n\r\n",
    "a control character": OK + b"X: \0\r\n\r\n",
    "a control character in the reason": b"HTTP/1.1 200 \x1b[2J\r\n\r\n",
    "a folded header": OK + b"X: a\r\n b\r\n\r\n",
    "a header without a colon": OK + b"X\r\n\r\n",
    "a header without a name": OK + b": x\r\n\r\n",
    "a blank before the colon": OK + b"Content-Length : 5\r\n\r\nhello",
    "gzip": OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "huge": OK + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1),
    "huge chunk": CHUNKED + b"\r\n%x\r\n" % (MAX_BODY + 1),
    "a chunk size of nine digits": CHUNKED + b"\r\n000000005\r\nhello\r\n",
    "a length in words": OK + b"Content-Length: five\r\n\r\n",
    "a length in Arabic digits": OK + b"Content-Length: \xb2\r\n\r\n",
    "an empty length": OK + b"Content-Length:\r\n\r\n",
    "a negative length": OK + b"Content-Length: -5\r\n\r\n",
    "a length of twenty digits": OK + b"Content-Length: 00000000000000000005\r\n\r\nhello",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two lengths in a line": OK + b"Content-Length: 5, 6\r\n\r\nhello",
    "length and chunks": CHUNKED + b"Content-Length: 15\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "length and chunks of no body": b"HTTP/1.1 204\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "another transfer encoding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n",
    "an empty transfer encoding": OK + b"Transfer-Encoding:\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "an odd chunk size": CHUNKED + b"\r\nxyz\r\n",
    "no chunk size": CHUNKED + b"\r\n;x\r\n",
    "a blank before the chunk size": CHUNKED + b"\r\n 5\r\nhello\r\n",
    "a line feed in a chunk size": CHUNKED + b"\r\n5;a\nb\r\nhello\r\n",
    "a chunk without end": CHUNKED + b"\r\n2\r\nabXX",
    "an odd trailer": CHUNKED + b"\r\n0\r\nhello\r\n\r\n",
}

TOO_LONG = {
    "a body without length": OK + b"\r\n" + b"x" * (MAX_BODY + 1),
    "many chunks": CHUNKED + b"\r\n" + (b"40000\r\n" + b"x" * 0x40000 + b"\r\n") * 4 + b"1\r\n",
    "a head without end": OK + b"X: " + b"x" * MAX_HEAD,
    "interim answers without end": b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_HEAD,
    "a chunk size without end": CHUNKED + b"\r\n1;" + b"x" * MAX_HEAD,
    "chunks of one byte without end": CHUNKED + b"\r\n" + b"1\r\nx\r\n" * MAX_HEAD,
    "trailers without end": CHUNKED + b"\r\n0\r\n" + b"X: y\r\n" * MAX_HEAD,
}

CUT_SHORT = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half a body": OK + b"Content-Length: 9\r\n\r\nhello",
    "half a chunk": CHUNKED + b"\r\n9\r\nhel",
    "no last chunk": CHUNKED + b"\r\n5\r\nhello\r\n",
    "no empty line behind the last chunk": CHUNKED + b"\r\n5\r\nhello\r\n0\r\n",
    "interim answers only": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9,
}


def read(*pieces: bytes, may_be_gzip: bool = False) -> AnswerReader:
    """A reader that was fed ``pieces`` and then the end of the connection."""
    reader = AnswerReader(may_be_gzip=may_be_gzip)
    for piece in pieces:
        reader.feed(piece)
    reader.feed(b"")
    return reader


def answer_of(*pieces: bytes, may_be_gzip: bool = False) -> HttpAnswer:
    answer = read(*pieces, may_be_gzip=may_be_gzip).answer
    assert answer is not None
    return answer


def cuts(data: bytes) -> list[list[bytes]]:
    """``data`` in two pieces, cut at every byte; and byte by byte."""
    return [[data[:at], data[at:]] for at in range(1, len(data))] + [
        [data[at : at + 1] for at in range(len(data))]
    ]


@pytest.mark.parametrize(("data", "body", "reusable"), WHOLE.values(), ids=WHOLE)
def test_a_whole_answer_reads_the_same_however_it_is_cut(data: bytes, body: bytes, reusable: bool) -> None:
    whole = answer_of(data)
    assert (whole.body, whole.reusable) == (body, reusable)
    for pieces in cuts(data):
        reader = read(*pieces)
        assert reader.answer == whole
        assert not reader.surplus


@pytest.mark.parametrize(("data", "body"), SURPLUS.values(), ids=SURPLUS)
def test_bytes_behind_the_answer_are_told_however_it_is_cut(data: bytes, body: bytes) -> None:
    assert not answer_of(data).reusable
    for pieces in cuts(data):
        reader = read(*pieces)
        assert reader.surplus
        assert reader.answer is not None
        assert reader.answer.body == body


def test_bytes_that_come_after_the_answer_was_read_are_told() -> None:
    reader = AnswerReader()
    reader.feed(WHOLE["length"][0])
    assert not reader.surplus
    reader.feed(b"\r\n")
    assert reader.surplus


def test_the_end_of_the_connection_after_the_answer_is_no_surplus() -> None:
    assert not read(WHOLE["length"][0], b"").surplus


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_refused_however_it_is_cut(data: bytes) -> None:
    for pieces in [[data], *cuts(data)]:
        with pytest.raises(DecodeError):
            read(*pieces)


@pytest.mark.parametrize("data", TOO_LONG.values(), ids=TOO_LONG)
@pytest.mark.parametrize("size", [1 << 10, 1 << 14, 1 << 22])
def test_what_is_too_long_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(DecodeError, match="longer than"):
        read(*(data[at : at + size] for at in range(0, len(data), size)))


@pytest.mark.parametrize("data", CUT_SHORT.values(), ids=CUT_SHORT)
def test_what_is_cut_short_is_a_connection_that_failed(data: bytes) -> None:
    for pieces in [[data] if data else [], *cuts(data)]:
        with pytest.raises(ConnectError):
            read(*(piece for piece in pieces if piece))


def test_repeated_headers_are_joined() -> None:
    answer = answer_of(OK + b"X-A: b\r\nx-a:\tc \r\nContent-Length: 0\r\n\r\n")
    assert answer.headers == {"x-a": "b, c", "content-length": "0"}


def test_untouched_means_not_one_byte() -> None:
    reader = AnswerReader()
    assert reader.untouched
    reader.feed(b"H")
    assert not reader.untouched
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert not reader.untouched


# gzip, where it is allowed

PACKED = gzip.compress(b"hello")
GZIP = b"Content-Encoding: gzip\r\n"


def of_length(body: bytes, headers: bytes = b"") -> bytes:
    return OK + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    "data",
    [
        of_length(PACKED, GZIP),
        of_length(PACKED),
        of_length(b"hello"),
        of_length(b"hello", b"Content-Encoding: identity\r\n"),
        CHUNKED + b"\r\n1\r\n" + PACKED[:1] + b"\r\n%x\r\n" % len(PACKED[1:]) + PACKED[1:] + b"\r\n0\r\n\r\n",
        OK + b"\r\n" + PACKED,
    ],
    ids=["told by a header", "told by its first bytes", "plain", "identity", "chunked", "until close"],
)
def test_gzip_is_unpacked_where_it_is_allowed(data: bytes) -> None:
    for pieces in [[data], *cuts(data)]:
        assert answer_of(*pieces, may_be_gzip=True).body == b"hello"


def test_gzip_is_not_unpacked_where_it_is_not_allowed() -> None:
    assert answer_of(of_length(PACKED)).body == PACKED


@pytest.mark.parametrize(
    "body",
    [PACKED[:-1], PACKED + b"\0", 2 * PACKED, PACKED[:-8] + b"\0" * 8, b"hello", PACKED[:2], b""],
    ids=["cut short", "with a zero behind it", "twice", "with a wrong sum", "not gzip", "two bytes", "empty"],
)
def test_a_damaged_gzip_body_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        answer_of(of_length(body, GZIP), may_be_gzip=True)


def test_another_encoding_is_refused_where_gzip_is_allowed() -> None:
    with pytest.raises(DecodeError):
        read(of_length(b"hello", b"Content-Encoding: br\r\n"), may_be_gzip=True)


def test_gzip_is_unpacked_up_to_the_limit_of_a_body() -> None:
    assert len(answer_of(of_length(gzip.compress(b" " * MAX_BODY)), may_be_gzip=True).body) == MAX_BODY
    with pytest.raises(DecodeError, match="longer than"):
        read(of_length(gzip.compress(b" " * (MAX_BODY + 1))), may_be_gzip=True)


def test_a_gzip_bomb_costs_no_more_than_the_limit() -> None:
    packed = bomb()
    assert 1 << 17 < len(packed) < MAX_BODY
    started = time.process_time()
    with pytest.raises(DecodeError, match="longer than"):
        read(of_length(packed), may_be_gzip=True)
    assert time.process_time() - started < 0.2


def test_an_error_page_is_not_unpacked() -> None:
    data = b"HTTP/1.1 502 Bad Gateway\r\n" + GZIP + b"Content-Length: 3\r\n\r\nabc"
    assert answer_of(data, may_be_gzip=True).body == b"abc"


# Requests


def lines_of(data: bytes) -> tuple[list[bytes], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def test_request_bytes() -> None:
    data = request("POST", "/api/login/Basic", "192.0.2.1", b"X-A: b\r\n", b"{}")
    assert lines_of(data) == (
        [
            b"POST /api/login/Basic HTTP/1.1",
            b"Host: 192.0.2.1",
            b"Accept: application/json",
            b"Accept-Encoding: identity",
            b"X-A: b",
            b"Content-Length: 2",
        ],
        b"{}",
    )


@pytest.mark.parametrize("body", [b"", bytes(range(256)), b"\r\n\r\n"], ids=["empty", "any bytes", "CRLF"])
def test_h11_reads_the_body_of_a_post(body: bytes) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(request("POST", "/tedapi/v1", "[2001:db8::1]:8443", body=body, accept="*/*"))
    head = server.next_event()
    assert isinstance(head, h11.Request)
    assert (b"accept", b"*/*") in head.headers
    received = b""
    while isinstance(event := server.next_event(), h11.Data):
        received += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert received == body


def test_a_get_has_no_body() -> None:
    assert not any(
        line.startswith(b"Content-Length") for line in lines_of(request("GET", "/api/status", "x"))[0]
    )
