"""The pages in a real browser: what it draws, what it complains about, and what it must not run."""

from __future__ import annotations

import html.parser
import re
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from probe_exporter.config import GatewayConfig
from probe_exporter.fleet import Fleet
from probe_exporter.simulator import Farm, LivingSite, make_certificate
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.conftest import program
from tests.test_web import Exporter, served

HOSTILE = '<script>document.title="owned"</script>" onload=alert(1) \u202egnp & more'
LONG = "x" * 300
WIDE, NARROW = 1280, 390


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    """A hundred gateways: three that answer, one of them with a hostile name, the rest not there."""
    telemetry = Telemetry()
    systems = {
        "home": LivingSite(seed=1, batteries=2),
        HOSTILE: LivingSite(seed=2, profile="pw3"),
        "office": LivingSite(seed=3, profile="pwplus"),
    }
    with Farm(systems, certificate=make_certificate()) as farm:
        gateways: list[GatewayConfig] = [
            configs.gateway(
                one.address,
                name=name,
                login_password=configs.Secret(one.password),
                labels={"site": HOSTILE, "long": LONG},
            )
            for name, one in farm.gateways.items()
        ]
        gateways += [configs.gateway(f"127.0.0.1:{number}", name=f"gone-{number}") for number in range(1, 98)]
        with served(Fleet(configs.config(*gateways), telemetry), telemetry) as running:
            for name in (*systems, "gone-7"):
                assert running.ask(f"/probe?target={quote(name, safe='')}").status == 200
            yield running


class Browser:
    """Debian's Chromium without a window, one call a look."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = program("chromium")

    def look(self, url: str, *arguments: str, width: int = WIDE) -> tuple[str, str]:
        """What it prints, and what it complains about."""
        ended = subprocess.run(
            [
                self.command,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--enable-logging=stderr",
                f"--user-data-dir={self.folder / 'profile'}",
                f"--window-size={width},1600",
                *arguments,
                url,
            ],
            capture_output=True,
            text=True,
            timeout=60.0,
            check=True,
        )
        return ended.stdout, "\n".join(line for line in ended.stderr.splitlines() if "CONSOLE" in line)

    def dom(self, url: str, **options: int) -> tuple[str, str]:
        """The document as it stands after everything ran, and the console."""
        return self.look(url, "--dump-dom", **options)

    def picture(self, url: str, *arguments: str, width: int = WIDE) -> Picture:
        """A screenshot."""
        file = self.folder / "picture.png"
        self.look(url, f"--screenshot={file}", *arguments, width=width)
        return Picture(file.read_bytes())


class Picture:
    """The pixels of a PNG with eight bits a channel."""

    def __init__(self, data: bytes) -> None:
        position, packed = 8, b""
        while position < len(data):
            (length,) = struct.unpack(">I", data[position : position + 4])
            kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
            if kind == b"IHDR":
                self.width, self.height, _, colour = struct.unpack(">IIBB", content[:10])
                self.channels = {2: 3, 6: 4}[colour]
            packed += content if kind == b"IDAT" else b""
            position += 12 + length
        self.rows = list(self._rows(zlib.decompress(packed)))

    def _rows(self, raw: bytes) -> Iterator[bytes]:
        size, step = self.width * self.channels, self.channels
        above = bytes(size)
        for start in range(0, len(raw), size + 1):
            kind, line = raw[start], bytearray(raw[start + 1 : start + 1 + size])
            for index in range(size):
                left = line[index - step] if index >= step else 0
                corner = above[index - step] if index >= step else 0
                line[index] = (line[index] + _predict(kind, left, above[index], corner)) & 255
            above = bytes(line)
            yield above

    def brightness(self) -> float:
        """Of the page's ground, from 0 to 1: the mean of a column at the left edge."""
        return sum(sum(row[:3]) for row in self.rows) / (3 * 255 * len(self.rows))


def _predict(kind: int, left: int, above: int, corner: int) -> int:
    if kind < 3:
        return (0, left, above)[kind]
    if kind == 3:
        return (left + above) // 2
    guess = left + above - corner
    return min((left, above, corner), key=lambda value: abs(guess - value))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("browser"))


def url(exporter: Exporter, path: str) -> str:
    return f"http://127.0.0.1:{exporter.port}{path}"


PATHS = {
    "fleet": "/",
    "gateway": "/gateways/home",
    "hostile": f"/gateways/{quote(HOSTILE, safe='')}",
    "failing": "/gateways/gone-7",
    "never probed": "/gateways/gone-8",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_page_is_drawn_and_nothing_complains(browser: Browser, exporter: Exporter, path: str) -> None:
    dom, console = browser.dom(url(exporter, path))
    assert console == ""
    assert "<h1>" in dom
    assert "<title>owned</title>" not in dom
    assert "<script" not in dom
    assert not re.search(r"<[^>]* onload=", dom)


def test_the_fleet_has_a_row_a_gateway_the_troubled_first(browser: Browser, exporter: Exporter) -> None:
    dom, _ = browser.dom(url(exporter, "/"))
    names = re.findall(r'href="/gateways/([^"]+)"', dom)
    assert len(names) == 100
    assert names[0] == "gone-7"
    assert "127.0.0.1:7 cannot be reached" in dom
    assert "Check its address" in dom, "the remedy stands beside the error"


def test_the_power_flow_has_words_beside_colours(browser: Browser, exporter: Exporter) -> None:
    dom, _ = browser.dom(url(exporter, "/gateways/home"))
    drawing = re.search(r"<svg.*?</svg>", dom, re.DOTALL)
    assert drawing is not None
    for word in ("Solar", "Home", "Battery", "Grid"):
        assert f">{word}<" in drawing[0]
    assert re.search(r'aria-label="Power flow: .*W ', drawing[0])
    assert re.findall(r">\d+(?:\.\d+)? k?W<", drawing[0])


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/gateways/home"])
def test_colours_follow_the_readers_wish(browser: Browser, exporter: Exporter, path: str) -> None:
    light = browser.picture(url(exporter, path), width=600).brightness()
    dark = browser.picture(
        url(exporter, path), "--blink-settings=preferredColorScheme=0", width=600
    ).brightness()
    assert light > 0.9
    assert dark < 0.3


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_telephone_needs_no_scrolling_sideways(browser: Browser, exporter: Exporter, path: str) -> None:
    picture = browser.picture(url(exporter, path), width=NARROW)
    assert picture.width == NARROW
    edge = [row[-8 * picture.channels :] for row in picture.rows]
    ground = edge[-1]
    touched = sum(line != ground for line in edge)
    assert touched <= 3, "nothing but the line under the head reaches the right edge"


class Focusable(html.parser.HTMLParser):
    """What the keyboard reaches, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "a":
            self.found.append(named.get("href") or "")
        elif "tabindex" in named:
            assert named["tabindex"] == "0", "the order is that of the document"
            self.found.append(tag)


def test_the_keyboard_reaches_everything(browser: Browser, exporter: Exporter) -> None:
    dom, _ = browser.dom(url(exporter, "/gateways/home"))
    reader = Focusable()
    reader.feed(dom)
    assert reader.found[0] == "/"
    assert "/probe?target=home" in reader.found
    assert reader.found[-1] == "pre", "the log can be scrolled"


def test_a_page_renews_itself(exporter: Exporter) -> None:
    for path in ("/", "/gateways/home"):
        reply = exporter.ask(path)
        assert re.search(r'http-equiv="refresh" content="\d+"', reply.text) or "refresh" in reply.headers


@pytest.mark.parametrize("path", ["/", "/gateways/home", "/style.css"])
def test_what_a_page_may_do(exporter: Exporter, path: str) -> None:
    headers = exporter.ask(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    if path != "/style.css":
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


def test_a_hundred_rows_are_quick(exporter: Exporter) -> None:
    began = time.monotonic()
    assert exporter.ask("/").status == 200
    assert time.monotonic() - began < 1.0
