"""HTTP/1.1 as bytes: however an answer is cut into pieces, it reads the same; what is not an answer is an error."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_exporter.errors import ConnectError, DecodeError, GatewayError
from probe_exporter.gateway.wire import MAX_BODY, MAX_HEAD, Answer, AnswerReader, request

WHOLE = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    "empty": (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", b"", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
        b"hello",
        True,
    ),
    "continue first": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
        True,
    ),
    "closing": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", b"hello", False),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "more than its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhello", b"hel", False),
}


def read(pieces: list[bytes]) -> Answer:
    reader = AnswerReader()
    for piece in pieces:
        reader.feed(piece)
        if reader.answer is not None:
            return reader.answer
    reader.feed(b"")
    assert reader.answer is not None
    return reader.answer


@pytest.mark.parametrize(("data", "body", "reusable"), WHOLE.values(), ids=WHOLE)
def test_whole_answer(data: bytes, body: bytes, reusable: bool) -> None:
    answer = read([data])
    assert (answer.body, answer.reusable) == (body, reusable)


@given(st.sampled_from(sorted(WHOLE)), st.integers(1, 7))
def test_pieces_do_not_matter(name: str, size: int) -> None:
    data, body, _ = WHOLE[name]
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert read(pieces).body == body


def test_body_until_close_is_not_reusable() -> None:
    answer = read([b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"])
    assert (answer.body, answer.reusable) == (b"hello", False)


BROKEN = {
    "nothing": (b"", ConnectError),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", ConnectError),
    "half a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", ConnectError),
    "half a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhel", ConnectError),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", DecodeError),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", DecodeError),
    "no status": (b"HTTP/1.1 OK\r\n\r\n", DecodeError),
    "gzip": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", DecodeError),
    "huge": (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), DecodeError),
    "huge without length": (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BODY + 1), DecodeError),
    "huge chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", DecodeError),
    "odd length": (b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", DecodeError),
    "negative length": (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", DecodeError),
    "odd chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", DecodeError),
    "chunk without end": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabXX", DecodeError),
    "odd transfer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", DecodeError),
    "endless head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD, DecodeError),
    "endless interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_HEAD, DecodeError),
    "interim answers only": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9, ConnectError),
}


@pytest.mark.parametrize(("data", "error"), BROKEN.values(), ids=BROKEN)
def test_broken_answer(data: bytes, error: type[GatewayError]) -> None:
    with pytest.raises(error):
        read([data])


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_arbitrary_bytes_raise_only_our_errors(pieces: list[bytes]) -> None:
    with contextlib.suppress(GatewayError):
        read([b"HTTP/1.1 200 OK\r\n", *(piece for piece in pieces if piece)])


def test_request_bytes() -> None:
    data = request("POST", "/api/login/Basic", "192.0.2.1", b"X-A: b\r\n", b"{}")
    head, _, body = data.partition(b"\r\n\r\n")
    assert body == b"{}"
    assert head.split(b"\r\n") == [
        b"POST /api/login/Basic HTTP/1.1",
        b"Host: 192.0.2.1",
        b"Accept: application/json",
        b"Accept-Encoding: identity",
        b"X-A: b",
        b"Content-Length: 2",
    ]
