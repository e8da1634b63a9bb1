"""Behind a reverse proxy: paths that arrive with its prefix or without, and links that always carry it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from probe_exporter.fleet import Fleet
from probe_exporter.telemetry import Telemetry
from probe_exporter.web.options import ExternalUrl, path_prefix
from tests import configs
from tests.test_web import Exporter, served

URL = "https://mon.example.org/powerwall/"
ROUTES = ("/", "/metrics", "/sd", "/config", "/style.css", "/gateways/home", "/-/healthy", "/-/ready")
HEALTH = ("/-/healthy", "/-/ready")


@contextmanager
def exporter(external_url: str | None = None, route_prefix: str | None = None) -> Iterator[Exporter]:
    telemetry = Telemetry()
    with served(
        Fleet(configs.config(configs.gateway()), telemetry),
        telemetry,
        external_url=None if external_url is None else ExternalUrl.parse(external_url),
        route_prefix=None if route_prefix is None else path_prefix(route_prefix),
        enable_lifecycle=True,
        reload=lambda: lambda: None,
    ) as running:
        yield running


CASES = {
    # external URL, route prefix: the path of requests, the path of links
    "neither": (None, None, "", ""),
    "a URL without a path": ("https://mon.example.org", None, "", ""),
    "a URL with a path": (URL, None, "/powerwall", "/powerwall"),
    "a proxy that strips it": (URL, "/", "", "/powerwall"),
    "a proxy that has another": (URL, "/inner/", "/inner", "/powerwall"),
    "a prefix alone": (None, "powerwall", "/powerwall", "/powerwall"),
    "a longer one": ("http://mon.example.org:8080/a/b", None, "/a/b", "/a/b"),
}


@pytest.mark.parametrize(("url", "prefix", "routes", "links"), CASES.values(), ids=CASES)
def test_a_prefix(url: str | None, prefix: str | None, routes: str, links: str) -> None:
    with exporter(url, prefix) as running:
        for path in ROUTES:
            assert running.ask(routes + path).status == 200, path
            if routes:
                assert running.ask(path).status == (200 if path in HEALTH else 404), path
        assert running.ask(f"{routes}/probe").status == 400
        assert running.ask(f"{routes}/-/reload", "POST").status == 200
        for path in ("/", "/gateways/home"):
            page = running.ask(routes + path).text
            found = re.findall(r'(?:href|src)="([^"#][^"]*)"', page)
            assert len(found) >= 5
            assert all(link.startswith(f"{links}/") for link in found), found
            assert f"{links}/metrics" in found
        (group,) = json.loads(running.ask(f"{routes}/sd").body)
        assert group["labels"]["__metrics_path__"] == f"{links}/probe"
        if url is not None:
            address = url.partition("://")[2].partition("/")[0]
            assert group["targets"] == [address]
            assert group["labels"].get("__scheme__", "http") == url.partition(":")[0]


def test_the_path_itself_is_the_front_page() -> None:
    with exporter(URL) as running:
        assert running.ask("/powerwall").body == running.ask("/powerwall/").body
        for path in ("/powerwallx/sd", "/powerwall//sd", "/other/powerwall/sd", "//powerwall/sd"):
            refused = running.ask(path)
            assert refused.status == 404
            assert "/powerwall/ lists" in refused.text


# Parameters


@pytest.mark.parametrize("path", ["/sd?site=home", "/sd?module=default&Label.site=home", "/?unfamiliar=1"])
def test_an_unknown_parameter_is_refused(path: str) -> None:
    with exporter() as running:
        refused = running.ask(path)
    assert refused.status == 400
    assert "unknown parameter" in refused.text
    assert not {"site=", "Label", "unfamiliar"} & set(refused.text.split())


def test_nobody_on_the_way_keeps_an_answer() -> None:
    with exporter() as running:
        for path in ("/sd", "/", "/metrics", "/probe?target=home", "/config", "/nowhere"):
            assert running.ask(path).headers["cache-control"] == "no-store", path
        assert running.ask("/style.css").headers["cache-control"] == "max-age=300"
