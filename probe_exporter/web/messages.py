"""A request and an answer, as objects instead of ASGI's dictionaries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qs

from probe_exporter.web.negotiation import accepts_gzip

try:
    from isal.igzip import compress
except ImportError:  # no wheels for this platform
    from gzip import compress

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PLAIN = "text/plain; charset=utf-8"

MAX_HEAD: Final = 16 << 10
"""Bytes of a request line and headers."""

_WORTH_PACKING = 512
_MAX_PARAMETERS = 100


class BadRequestError(Exception):
    """The request cannot be understood; the message is what the client reads, and repeats nothing it sent."""

    closes = False
    """Set where nothing that follows on the connection can be trusted."""


class AmbiguousLengthError(BadRequestError):
    """Content-Length beside Transfer-Encoding: a proxy before us may see another end of this request than we do."""

    closes = True

    def __init__(self) -> None:
        super().__init__("Content-Length and Transfer-Encoding exclude one another")


class OverloadedError(Exception):
    """The exporter is at a limit, or is shutting down."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request. Header names are in lower case; a repeated header is joined by commas, as HTTP means it."""

    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, list[str]]
    scheme: str

    @classmethod
    def unread(cls, scope: Scope) -> Request:
        """Method and path alone, for the answer to a request that cannot be understood."""
        return cls(scope["method"], scope["path"], {}, {}, "http")

    @classmethod
    def of(cls, scope: Scope) -> Request:
        """The request in an ASGI scope. Raises BadRequestError where the head is too long or cannot be understood."""
        headers: dict[str, str] = {}
        # The server bounds a head that comes in pieces; one that comes at once is bounded here.
        length = len(scope["path"]) + len(scope["query_string"])
        if length + sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD:
            raise BadRequestError(f"the request line and headers are longer than {MAX_HEAD} bytes")
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        if "content-length" in headers and "transfer-encoding" in headers:
            raise AmbiguousLengthError
        return cls(
            scope["method"], scope["path"], headers, _query(scope["query_string"]), scope["scheme"] or "http"
        )

    def single(self, name: str) -> str | None:
        """A parameter that may be given once at most. Raises BadRequestError where it is given more often."""
        values = self.query.get(name, [])
        if len(values) > 1:
            raise BadRequestError(f"the parameter {name} is given more than once")
        return values[0] if values else None

    def labels(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the parameters ``label.<name>=<value>``: each name with the values that are allowed of it."""
        return tuple(
            (key.removeprefix("label."), tuple(values))
            for key, values in self.query.items()
            if key.startswith("label.")
        )

    def refuse_others(self, *names: str, beginning: str | None = None) -> None:
        """Raise BadRequestError for a parameter that has none of these names and does not begin so."""
        for name in self.query:
            if name not in names and not (beginning is not None and name.startswith(beginning)):
                known = [*names, *([f"{beginning}<name>"] if beginning is not None else [])]
                raise BadRequestError(
                    f"unknown parameter; this path takes {', '.join(known)}"
                    if known
                    else "unknown parameter; this path takes none"
                )


def _pack(body: bytes) -> bytes:
    packed: bytes = compress(body, 1, mtime=0)
    return packed


def _query(raw: bytes) -> dict[str, list[str]]:
    if not raw:
        return {}
    try:
        text = raw.decode("ascii")
        return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise BadRequestError("the query string cannot be read") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. ``headers`` come beside the content type, the length and what every answer carries.

    ``packed`` is the body gzipped, None where that is not done ahead.
    """

    status: int
    body: bytes
    content_type: str = PLAIN
    headers: dict[str, str] = field(default_factory=dict)
    packed: bytes | None = None

    def packed_ahead(self) -> Answer:
        """Return the same answer with its body gzipped now: for one that is sent often, or made in a thread."""
        return replace(self, packed=_pack(self.body)) if len(self.body) >= _WORTH_PACKING else self

    @classmethod
    def line(cls, status: int, text: str, **headers: str) -> Answer:
        """Return an answer of one line of text. Header names are given with underscores."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return cls(status, f"{text}\n".encode(), PLAIN, named)

    @classmethod
    def refusal(cls, error: BadRequestError) -> Answer:
        """The answer to a request that cannot be understood."""
        return cls.line(400, str(error), **({"Connection": "close"} if error.closes else {}))

    async def send(self, request: Request, send: Send) -> None:
        """Send it, packed where the client accepts that and it is long enough; without the body to a HEAD."""
        body = self.body
        headers = {
            "content-type": self.content_type,
            "x-content-type-options": "nosniff",
            "vary": "Accept, Accept-Encoding",
            "cache-control": "no-store",  # an answer is valid for its moment only; a proxy would cache it
            **{name.lower(): value for name, value in self.headers.items()},
        }
        if len(body) >= _WORTH_PACKING and accepts_gzip(request.headers.get("accept-encoding", "")):
            body = _pack(body) if self.packed is None else self.packed
            headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(body))
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})
