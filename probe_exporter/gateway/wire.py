"""HTTP/1.1 as bytes: the request that is sent and the answer that is read, piece by piece and within limits.

http.client reads header lines without a clock and a body without a limit; a gateway that drips one byte a second
would hold a probe for ever. `AnswerReader` never reads by itself: the caller feeds it what has arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from probe_exporter.errors import ConnectError, DecodeError

MAX_BODY: Final = 1 << 20
"""Bytes of a body that are read: 1 MiB."""

MAX_HEAD: Final = 16 << 10
"""Bytes of a status line with its headers that are read: 16 KiB."""

_MAX_CHUNK_LINE: Final = 256
_GREETING: Final = b"HTTP/1."


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer. Header names are in lower case; of a repeated header the last counts."""

    status: int
    headers: dict[str, str]
    body: bytes
    reusable: bool


def request(method: str, path: str, host: str, headers: bytes = b"", body: bytes = b"") -> bytes:
    """The bytes of one request. ``headers`` are whole lines, each ending in CRLF."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n"
    return head.encode("ascii") + headers + length.encode("ascii") + b"\r\n" + body


class AnswerReader:
    """Turns the bytes of one answer into an `Answer`. Feed it until `answer` is there.

    Raises DecodeError for an answer that is too long, encoded or not HTTP, and ConnectError for one cut short.
    """

    __slots__ = ("_body", "_buffer", "_framing", "_headers", "_heads", "_keep", "_left", "_status", "answer")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body = bytearray()
        self._status = 0
        self._heads = 0
        self._headers: dict[str, str] = {}
        self._framing = "head"
        self._left = 0
        self._keep = True
        self.answer: Answer | None = None

    @property
    def untouched(self) -> bool:
        """Whether not one byte has arrived."""
        return self._framing == "head" and not self._buffer and not self._status

    def feed(self, data: bytes) -> None:
        """Take what has arrived; b"" means that the gateway closed the connection."""
        if not data:
            self._close()
            return
        self._buffer += data
        if self._framing == "head":
            self._read_head()
        if self._framing == "length":
            self._read_length()
        elif self._framing == "chunked":
            self._read_chunks()
        elif self._framing == "close":
            self._take(len(self._buffer))

    def _close(self) -> None:
        if self._framing != "close":
            raise ConnectError("the gateway closed the connection before its answer was whole")
        self._finish()

    def _finish(self) -> None:
        clean = self._keep and self._framing != "close" and not self._buffer
        self._framing = "done"
        self.answer = Answer(self._status, self._headers, bytes(self._body), clean)

    def _read_head(self) -> None:
        """Read heads until the final one is there; those of the interim answers (1xx) count against its limit."""
        while (lines := self._next_head()) is not None:
            version, _, rest = lines[0].partition(" ")
            code = rest.partition(" ")[0]
            if len(code) != 3 or not code.isascii() or not code.isdigit():
                raise DecodeError("the answer is not HTTP")
            self._status = int(code)
            if not 100 <= self._status < 200:
                self._headers = {
                    name.strip().lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines[1:])
                }
                self._choose_framing(version)
                return

    def _next_head(self) -> list[str] | None:
        """The lines of the head that stands first in the buffer, taken out of it; None while it is not whole."""
        if not self._buffer.startswith(_GREETING[: len(self._buffer)]):
            raise DecodeError("the answer is not HTTP")
        end = self._buffer.find(b"\r\n\r\n")
        length = len(self._buffer) if end < 0 else end
        if self._heads + length > MAX_HEAD:
            raise DecodeError(f"the answer's headers are longer than {MAX_HEAD} bytes")
        if end < 0:
            return None
        self._heads += length
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        return lines

    def _choose_framing(self, version: str) -> None:
        headers = self._headers
        connection = headers.get("connection", "").lower()
        self._keep = connection != "close" and (version == "HTTP/1.1" or connection == "keep-alive")
        encoding = headers.get("content-encoding", "identity").lower()
        if self._status == 200 and encoding not in ("", "identity"):
            raise DecodeError("the answer is encoded although identity was asked for")
        transfer = headers.get("transfer-encoding", "").lower()
        if self._status in (204, 304):
            self._finish()
        elif transfer == "chunked":
            self._framing = "chunked"
        elif transfer:
            raise DecodeError("the answer has a transfer encoding nobody asked for")
        elif "content-length" in headers:
            length = headers["content-length"]
            if not (length.isascii() and length.isdigit()) or len(length) > 18:
                raise DecodeError("the answer's Content-Length is no number")
            self._left = int(length)
            self._refuse_longer(self._left)
            self._framing = "length"
        else:
            self._framing = "close"

    def _refuse_longer(self, length: int) -> None:
        if length > MAX_BODY:
            raise DecodeError(f"the answer is longer than {MAX_BODY} bytes")

    def _take(self, count: int) -> None:
        self._refuse_longer(len(self._body) + count)
        self._body += self._buffer[:count]
        del self._buffer[:count]

    def _read_length(self) -> None:
        count = min(self._left, len(self._buffer))
        self._left -= count
        self._take(count)
        if not self._left:
            self._finish()

    def _read_chunks(self) -> None:
        """``_left`` is what is missing of a chunk and the CRLF behind it; 0 where a size line comes next."""
        while True:
            if self._left > 2:
                count = min(self._left - 2, len(self._buffer))
                self._left -= count
                self._take(count)
            if self._left > 2 or (self._left and len(self._buffer) < self._left):
                return
            if self._left:
                if self._buffer[:2] != b"\r\n":
                    raise DecodeError("the answer's chunks are damaged")
                del self._buffer[:2]
                self._left = 0
            if not self._next_chunk():
                return

    def _next_chunk(self) -> bool:
        """Read a size line; False where it is not all there, or where it ended the answer."""
        end = self._buffer.find(b"\r\n")
        if end < 0 or end > _MAX_CHUNK_LINE:
            if len(self._buffer) > _MAX_CHUNK_LINE:
                raise DecodeError("the answer's chunks are damaged")
            return False
        digits = bytes(self._buffer[:end]).partition(b";")[0].strip()
        if not digits or len(digits) > 8 or digits.strip(b"0123456789abcdefABCDEF"):
            raise DecodeError("the answer's chunks are damaged")
        size = int(digits, 16)
        self._refuse_longer(len(self._body) + size)
        if size:
            del self._buffer[: end + 2]
            self._left = size + 2
            return True
        if self._buffer[end : end + 4] == b"\r\n\r\n":
            del self._buffer[: end + 4]
            self._finish()
        elif len(self._buffer) > end + 4:
            # Trailers: nothing in them is wanted, so the connection is not used again and they are not read.
            self._keep = False
            self._finish()
        return False
