"""Pages for people, rendered from what probes brought: opening one never sends a request to a gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader

from probe_exporter import __version__
from probe_exporter.fleet import Fleet, Site
from probe_exporter.metrics.probe import EndpointOutcome
from probe_exporter.probe.today import Today
from probe_exporter.readings import Readings
from probe_exporter.web import words
from probe_exporter.web.listing import Choice, listing
from probe_exporter.web.messages import Answer
from probe_exporter.web.newer import newer
from probe_exporter.web.rows import powers_of, readings_of, row_of

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


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    filters: tuple[Callable[..., str], ...] = (
        words.watts,
        words.flow,
        words.percent,
        words.ago,
        words.kilowatt_hours,
        _path,
        _clock,
        _beginning,
        _style,
        _endpoint_state,
    )
    environment.filters.update({one.__name__.removeprefix("_"): one for one in filters})
    return environment


def prepare() -> None:
    """Read all templates now: later there may be no file descriptor left for it."""
    for name in ("fleet.html", "gateway.html", "text.html", "layout.html"):
        _environment().get_template(name)
    _source("style.css")


@cache
def _source(name: str) -> str:
    return (files("probe_exporter.web") / "templates" / name).read_text(encoding="utf-8")


def _path(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="")


def _clock(moment: float) -> str:
    """Return Unix seconds as a time of day in UTC."""
    return f"{datetime.fromtimestamp(moment, timezone.utc):%H:%M:%S} UTC"


def _beginning(day: Today) -> str:
    """Return the time of day at which a day's energies begin, in the zone of the gateway, with the zone's name."""
    return f"{datetime.fromtimestamp(day.since, timezone.utc).astimezone(day.zone):%H:%M %Z}"


def _style(state: str) -> str:
    """Return a state as a class of the style sheet."""
    return state.replace(" ", "-")


def _endpoint_state(endpoint: EndpointOutcome) -> str:
    """Return the state of an endpoint in words that agree with its age: none is shown of what a probe left out."""
    if endpoint.up is None:
        return "not asked yet"
    if endpoint.up:
        return "ok" if endpoint.age is not None else "answered before, left out of a failed probe"
    return f"failed: {endpoint.reason}" if endpoint.reason else "answered, too long ago"


def style_sheet() -> Answer:
    """Return the one style sheet of all pages."""
    style = _source("style.css").encode("utf-8")
    return Answer(200, style, "text/css; charset=utf-8", {"cache-control": "max-age=300"})


@dataclass(frozen=True, slots=True)
class Links:
    """The targets of a page's links. ``root`` is put before every path, and is empty without a proxy's path."""

    root: str
    metrics_path: str


def fleet_page(
    fleet: Fleet, links: Links, choice: Choice | None = None, *, reload_failed: bool = False
) -> Answer:
    """Return the overview of the fleet, gateways with problems first."""
    chosen = listing(tuple(fleet.sites.values()), choice or Choice())
    return _page("fleet.html", links, fleet=chosen, reload_failed=reload_failed, refresh=REFRESH_SECONDS)


def gateway_page(site: Site, links: Links) -> Answer:
    """Return one gateway in detail."""
    shown = readings_of(site)
    return _page(
        "gateway.html",
        links,
        row=row_of(site),
        last=site.last,
        flows=_flows(shown),
        facts=_facts(shown),
        energies=_energies(site.memory.today),
        today=site.memory.today,
        history=list(reversed(list(site.history))),
        addresses=[address.text for address in site.config.addresses],
        newer=newer(site, shown),
        refresh=REFRESH_SECONDS,
    )


def configuration_page(text: str, links: Links) -> Answer:
    """Return the configuration in force, for a browser."""
    explanation = "In force now, secrets and e-mail addresses as <secret>. Programs get only the text."
    return _page("text.html", links, title="Configuration", text=text, explanation=explanation, refresh=None)


def discovery_page(groups: Answer, links: Links) -> Answer:
    """Return the answer to Prometheus' service discovery, for a browser."""
    text = json.dumps(json.loads(groups.body), indent=2, ensure_ascii=False)
    explanation = "What Prometheus discovers here (HTTP SD). Programs get only the JSON."
    return _page("text.html", links, title="Discovery", text=text, explanation=explanation, refresh=None)


def _page(template: str, links: Links, **values: Any) -> Answer:
    html = (
        _environment()
        .get_template(template)
        .render(version=__version__, now=time.time(), links=links, **values)
    )
    headers = {
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return Answer(200, html.encode("utf-8", "replace"), HTML, headers)


@dataclass(frozen=True, slots=True)
class Flow:
    """An arm of the power-flow picture. ``direction`` is in, out or none, seen from the middle."""

    name: str
    title: str
    watts: float
    words: str
    direction: str


def _flows(shown: Readings) -> dict[str, Flow]:
    powers = powers_of(shown)
    titles = {"solar": "Solar", "battery": "Battery", "site": "Grid", "load": "Home"}
    return {name: _flow(name, title, powers[name]) for name, title in titles.items() if name in powers}


def _flow(name: str, title: str, power: float) -> Flow:
    word = words.direction(name, power)
    inward = (power > 0.0) != (name == "load")
    return Flow(name, title, power, word, "none" if word == "idle" else "in" if inward else "out")


def _facts(shown: Readings) -> list[tuple[str, str]]:
    """Return the facts below the picture that are known, each with its name."""
    operation, system, controller = shown.operation, shown.system_status, shown.tedapi_controller
    config = shown.tedapi_config
    reserve = (
        operation.app_reserve if operation is not None else config.app_reserve if config is not None else None
    )
    mode = operation.mode if operation is not None else config.mode if config is not None else None
    battery = system if system is not None and system.remaining_energy is not None else controller
    facts = [
        ("Grid", (shown.grid_status.word if shown.grid_status is not None else None) or ""),
        ("Mode", (mode or "").replace("_", " ")),
        ("Reserve", words.percent(reserve)),
    ]
    if battery is not None:
        stored, full = (
            words.kilowatt_hours(battery.remaining_energy),
            words.kilowatt_hours(battery.full_energy),
        )
        facts.append(("Stored", f"{stored} of {full}"))
    return [(name, text) for name, text in facts if text.strip("–of ")]


def _energies(day: Today | None) -> list[tuple[str, str]]:
    """Return the energies of today, of those that are known: each with its name."""
    totals = (
        ("Solar produced", "solar", "exported"),
        ("Home used", "load", "imported"),
        ("Grid imported", "site", "imported"),
        ("Grid exported", "site", "exported"),
        ("Battery charged", "battery", "imported"),
        ("Battery discharged", "battery", "exported"),
    )
    if day is None:
        return []
    energies = ((title, day.energy(category, direction)) for title, category, direction in totals)
    return [(title, words.kilowatt_hours(energy)) for title, energy in energies if energy is not None]
