"""HTML pages, rendered from the results of probes: opening one never sends a request to a gateway."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader

from probe_exporter import __version__
from probe_exporter.fleet import Fleet, ProbeResult, Site
from probe_exporter.readings import Readings
from probe_exporter.web.homes import homes, part
from probe_exporter.web.messages import Answer
from probe_exporter.web.newer import newer

HTML: Final = "text/html; charset=utf-8"
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
REFRESH_SECONDS: Final = 30
FLOWING_WATTS: Final = 50.0
"""Below this a flow is drawn as none: meters show a few watts of nothing."""

REMEDIES: Final = {
    "connect": "Is the gateway on the network? Check gateway_address; Wi-Fi drops of a minute are normal.",
    "timeout": "The gateway is slow or busy. Wi-Fi is the usual cause; Ethernet or a longer timeout helps.",
    "tls": "Another certificate than the pinned one, or no handshake. After a swap run fetchcert --force.",
    "auth": "Check login_email and login_password. Since firmware 24.36 the default password is refused.",
    "rate_limited": "The gateway asks for fewer requests. Wait; is something else polling it?",
    "busy": "The gateway is in a configuration step. It passes by itself.",
    "http": "The gateway answers, but not as expected; a stopped site master does that.",
    "decode": "The gateway answers nonsense. Is this address really a Powerwall gateway?",
}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["watts"] = watts
    environment.filters["percent"] = percent
    environment.filters["ago"] = ago
    environment.filters["kilowatt_hours"] = kilowatt_hours
    environment.filters["path"] = lambda text: quote(text, safe="")
    return environment


def prepare() -> None:
    """Read all templates now: later there may be no descriptor left."""
    for name in ("fleet.html", "gateway.html", "layout.html"):
        _environment().get_template(name)
    _source("style.css")


@cache
def _source(name: str) -> str:
    return (files("probe_exporter.web") / "templates" / name).read_text(encoding="utf-8")


def style_sheet() -> Answer:
    """The one style sheet of all pages."""
    style = _source("style.css").encode("utf-8")
    return Answer(200, style, "text/css; charset=utf-8", {"cache-control": "max-age=300"})


@dataclass(frozen=True, slots=True)
class Links:
    """The targets of a page's links. ``root`` stands before every path, and is empty without a proxy's path."""

    root: str
    metrics_path: str


def fleet_page(fleet: Fleet, links: Links, *, reload_failed: bool = False) -> Answer:
    """The fleet at a glance, the troubled first."""
    rows = sorted((_row(site) for site in fleet.sites.values()), key=lambda row: (row.rank, row.name))
    parts = (part(site, _readings(site), _powers(_readings(site))) for site in fleet.sites.values())
    return _page(
        "fleet.html",
        rows=rows,
        homes=homes(parts),
        links=links,
        counts=_counts(rows),
        reload_failed=reload_failed,
    )


def gateway_page(site: Site, links: Links) -> Answer:
    """Return the page of one gateway in detail."""
    return _page(
        "gateway.html",
        row=_row(site),
        links=links,
        last=site.last,
        flows=_flows(_readings(site)),
        history=list(reversed(list(site.history))),
        addresses=[address.text for address in site.config.addresses],
        newer=newer(site, _readings(site)),
    )


def _page(template: str, **values: Any) -> Answer:
    html = (
        _environment()
        .get_template(template)
        .render(version=__version__, now=time.time(), refresh=REFRESH_SECONDS, **values)
    )
    headers = {
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return Answer(200, html.encode("utf-8", "replace"), HTML, headers)


@dataclass(frozen=True, slots=True)
class Row:
    """A gateway as a line of the fleet. Powers in W, ``charge`` as the app shows it, ``age`` in seconds."""

    name: str
    state: str
    rank: int
    labels: str
    charge: float | None
    solar: float | None
    load: float | None
    battery: float | None
    grid: float | None
    grid_word: str
    age: float | None
    firmware: str
    error: str
    remedy: str


def _row(site: Site) -> Row:
    last, shown = site.last, _readings(site)
    state, rank = _state(last, shown)
    good = site.last_good
    powers = _powers(shown)
    reason = last.reason if last is not None and last.reason else ""
    return Row(
        name=site.name,
        state=state,
        rank=rank,
        labels=", ".join(f"{key}={value}" for key, value in site.config.labels.items()),
        charge=shown.soe.app_ratio if shown.soe else None,
        solar=powers.get("solar"),
        load=powers.get("load"),
        battery=powers.get("battery"),
        grid=powers.get("site"),
        grid_word=(shown.grid_status.state or "") if shown.grid_status else "",
        age=None if good is None else max(0.0, time.time() - good.started - good.duration),
        firmware=(_version(shown) or "").partition(" ")[0],
        error=(last.error or "") if last else "",
        remedy=REMEDIES.get(reason, ""),
    )


def _version(shown: Readings) -> str | None:
    """The version of the firmware, by whichever interface tells it."""
    if shown.status is not None and shown.status.version:
        return shown.status.version
    return None if shown.tedapi_system is None else shown.tedapi_system.version


def _readings(site: Site) -> Readings:
    """Return the readings of the last good probe: a gateway that is silent now still had a state."""
    shown = site.last_good or site.last
    return shown.readings if shown is not None else Readings()


def _state(last: ProbeResult | None, shown: Readings) -> tuple[str, int]:
    """A word for the gateway's state, and its rank: trouble is low."""
    if last is None:
        return "not probed yet", 3
    if last.word != "ok":
        return last.word, 0 if not last.success else 1
    if shown.grid_status is not None and shown.grid_status.connected is False:
        return "off grid", 1
    return "ok", 4


def _powers(shown: Readings) -> dict[str, float]:
    """Watts by category, of those that have any."""
    if shown.aggregates is None:
        return {}
    powers = ((category.name, category.measured.power) for category in shown.aggregates.categories)
    return {name: power for name, power in powers if power is not None}


def _counts(rows: list[Row]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + 1
    return counts


@dataclass(frozen=True, slots=True)
class Flow:
    """An arm of the power-flow picture. ``direction`` is in, out or none, seen from the middle."""

    name: str
    title: str
    watts: float
    words: str
    direction: str


def _flows(shown: Readings) -> dict[str, Flow]:
    powers = _powers(shown)
    words = {
        "solar": ("Solar", "producing", "consuming"),
        "battery": ("Battery", "discharging", "charging"),
        "site": ("Grid", "importing", "exporting"),
        "load": ("Home", "using", "feeding"),
    }
    flows = {}
    for name, (title, plus, minus) in words.items():
        if name not in powers:
            continue
        power = powers[name]
        idle = abs(power) < FLOWING_WATTS
        inward = (power > 0.0) != (name == "load")
        flows[name] = Flow(
            name,
            title,
            power,
            "idle" if idle else plus if power > 0.0 else minus,
            "none" if idle else "in" if inward else "out",
        )
    return flows


def watts(value: float | None) -> str:
    """Watts as text for a page."""
    if value is None:
        return "–"
    if abs(value) < 1000.0:
        return f"{round(value) + 0.0:.0f} W"
    return f"{value / 1000.0:.2f} kW"


def percent(value: float | None) -> str:
    """A ratio as percent."""
    return "–" if value is None else f"{value * 100.0:.0f} %"


def kilowatt_hours(joules: float | None) -> str:
    """Joules as text for a page, in kWh."""
    return "–" if joules is None else f"{joules / 3.6e6:.1f} kWh"


def ago(seconds: float | None) -> str:
    """An age in seconds as text for a page."""
    if seconds is None:
        return "never"
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2.0 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
