"""A client that asks as Prometheus does: OpenMetrics, gzip, one connection a target, a patience that it announces."""

from __future__ import annotations

import asyncio
import math
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

PATIENCE: Final = 10.0
"""Prometheus' default scrape_timeout in seconds."""

_HEADERS: Final = (
    "Host: exporter\r\n"
    "User-Agent: Prometheus/2.53.0\r\n"
    "Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n"
    "Accept-Encoding: gzip\r\n"
    f"X-Prometheus-Scrape-Timeout-Seconds: {PATIENCE:g}\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape: how long it took in seconds, the status (0 where no answer came), the text."""

    seconds: float
    status: int
    text: bytes = b""

    @property
    def good(self) -> bool:
        """Whether the probe succeeded."""
        return self.status == 200 and b"\nprobe_success 1" in self.text

    @property
    def samples(self) -> int:
        """How many samples it brought."""
        return sum(not line.startswith(b"#") for line in self.text.splitlines())


class Client:
    """One kept connection to one port of loopback. Not for two scrapes at the same time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def scrape(self, path: str) -> Scrape:
        """Scrape a path, on the kept connection where it still stands. Never raises for what the server does."""
        begun = time.perf_counter()
        try:
            status, text = await asyncio.wait_for(self._exchange(path), PATIENCE + 5.0)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError):
            self.close()
            return Scrape(time.perf_counter() - begun, 0)
        return Scrape(time.perf_counter() - begun, status, text)

    async def _exchange(self, path: str) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\n{_HEADERS}".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        body = await _body(reader, headers)
        if headers.get("connection") == "close":
            self.close()
        packed = headers.get("content-encoding") == "gzip"
        return int(lines[0].split()[1]), zlib.decompress(body, wbits=31) if packed else body

    def close(self) -> None:
        """Let the connection go."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def in_turn(port: int, paths: Sequence[str], rounds: int = 1) -> list[Scrape]:
    """Scrape one path after another, over one connection."""

    async def run() -> list[Scrape]:
        client = Client(port)
        scrapes = [await client.scrape(path) for _ in range(rounds) for path in paths]
        client.close()
        return scrapes

    return asyncio.run(run())


def at_once(port: int, paths: Sequence[str], seconds: float) -> tuple[list[Scrape], float]:
    """Scrape all paths at the same time, each again as soon as it has answered. The scrapes, and how long it took."""

    async def repeat(path: str, until: float) -> list[Scrape]:
        client = Client(port)
        scrapes = []
        while time.perf_counter() < until:
            scrapes.append(await client.scrape(path))
        client.close()
        return scrapes

    async def run() -> tuple[list[Scrape], float]:
        begun = time.perf_counter()
        lists = await asyncio.gather(*(repeat(path, begun + seconds) for path in paths))
        return [scrape for scrapes in lists for scrape in scrapes], time.perf_counter() - begun

    return asyncio.run(run())


def on_time(
    port: int,
    paths: Sequence[str],
    interval: float,
    rounds: int,
    before_round: Callable[[int], None] = lambda number: None,
) -> list[list[Scrape]]:
    """Scrape every path once per ``interval`` seconds, spread evenly over it, as Prometheus does.

    The scrapes of each round, in the order of ``paths``. ``before_round`` is told the number of every round.
    """

    async def repeat(path: str, first: float) -> list[Scrape]:
        client = Client(port)
        scrapes = []
        for number in range(rounds):
            await asyncio.sleep(max(0.0, first + number * interval - time.perf_counter()))
            scrapes.append(await client.scrape(path))
        client.close()
        return scrapes

    async def run() -> list[list[Scrape]]:
        begun = time.perf_counter()
        step = interval / len(paths)
        calls = [
            asyncio.get_running_loop().call_later(number * interval, before_round, number)
            for number in range(rounds)
        ]
        lists = await asyncio.gather(
            *(repeat(path, begun + index * step) for index, path in enumerate(paths))
        )
        for call in calls:
            call.cancel()
        return [list(one) for one in zip(*lists, strict=True)]

    return asyncio.run(run())


def quantile(seconds: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of some durations."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def split(url: str) -> tuple[int, str]:
    """Port and path of a URL on this machine. Raises ValueError for one elsewhere."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in ("localhost", "127.0.0.1"):
        raise ValueError("a peer is measured on this machine, by http://127.0.0.1:PORT/PATH")
    return parts.port or 80, parts.path + (f"?{parts.query}" if parts.query else "")
