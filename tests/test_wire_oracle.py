"""HTTP/1.1 as bytes, with h11 as the oracle: what h11 accepts as an answer is read the same, or refused."""

from __future__ import annotations

from dataclasses import replace

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from probe_exporter.errors import GatewayError
from tests.test_wire import CHUNKED, OK, WHOLE, answer_of, read

PARTS = st.sampled_from(
    [
        OK,
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 100 \r\n\r\n",
        b"HTTP/1.1 204 \r\n",
        b"HTTP/1.1 101 x\r\n\r\n",
        b"HTTP/1.1 500\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 6\r\n",
        b"content-length:\t5 \r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: 05\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"transfer-encoding: CHUNKED\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: a, close\r\n",
        b"Date: x\r\n",
        b"X: y\r\n z\r\n",
        b"X : y\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b"\0",
        b":",
        b";x=y",
        b"hello",
        b"5\r\nhello\r\n",
        b"5;x=y\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"00\r\n",
        b"fffffffff\r\n",
        b"X: y\r\n\r\n",
    ]
)
MESSAGES = st.lists(PARTS | st.binary(max_size=3), max_size=12).map(b"".join)
HEADS = st.sampled_from(
    [b"", OK, OK + b"Content-Length: 5\r\n", CHUNKED, CHUNKED + b"\r\n", CHUNKED + b"\r\n5\r\nhello\r\n"]
)


def of_h11(data: bytes) -> tuple[int, bytes, bool] | None:
    """Status, body and whether the connection may be used again, as h11 reads ``data``; None where it refuses."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        for piece in (data, b""):
            connection.receive_data(piece)
            while (event := connection.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    reusable = (
                        piece and connection.their_state is h11.DONE and not connection.trailing_data[0]
                    )
                    return status, body, bool(reusable)
                elif not isinstance(event, h11.InformationalResponse):
                    return None
    except h11.RemoteProtocolError:
        pass
    return None


def check_against_h11(data: bytes) -> None:
    oracle = of_h11(data)
    try:
        answer = answer_of(data) if data else None
    except GatewayError:
        return
    if oracle is not None and answer is not None:
        assert (answer.status, answer.body) == oracle[:2]
        assert oracle[2] or not answer.reusable


@settings(max_examples=400, deadline=None)
@given(HEADS, MESSAGES)
@example(OK, b"X: a\nContent-Length: 5\r\n\r\nhello")
@example(CHUNKED, b"\r\n0\r\n\nX: y\r\n\r\n")
@example(OK, b"Content-Length: 5\r\n\n\r\nhello")
def test_what_h11_accepts_is_read_the_same_or_refused(start: bytes, rest: bytes) -> None:
    check_against_h11(start + rest)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(HEADS, MESSAGES)
def test_what_h11_accepts_is_read_the_same_or_refused_at_length(start: bytes, rest: bytes) -> None:
    check_against_h11(start + rest)


@pytest.mark.parametrize(("data", "body", "reusable"), WHOLE.values(), ids=WHOLE)
def test_h11_reads_the_table_as_we_do(data: bytes, body: bytes, reusable: bool) -> None:
    """Only in one case h11 is the stricter: it never reuses a connection of HTTP/1.0."""
    oracle = of_h11(data)
    assert oracle is not None
    assert oracle[1] == body
    assert oracle[2] == reusable or data.startswith(b"HTTP/1.0")


@settings(deadline=None)
@given(HEADS, st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.booleans())
def test_arbitrary_bytes_raise_only_our_errors(start: bytes, pieces: list[bytes], may_be_gzip: bool) -> None:
    data = [start, *pieces] if start else pieces
    try:
        cut = replace(answer_of(*data, may_be_gzip=may_be_gzip), reusable=False)
    except GatewayError as error:
        with pytest.raises(type(error)):
            read(*([b"".join(data)] if data else []), may_be_gzip=may_be_gzip)
    else:
        assert cut == replace(answer_of(b"".join(data), may_be_gzip=may_be_gzip), reusable=False)
