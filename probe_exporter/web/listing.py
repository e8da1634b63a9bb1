"""The page of the fleet: which gateways a request chooses, in which order, and how many there are of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from probe_exporter.fleet import Site
from probe_exporter.natural import natural
from probe_exporter.web.homes import HomeRow, homes, part
from probe_exporter.web.messages import BadRequestError, Request
from probe_exporter.web.rows import STATES, Row, off_grid, order, powers_of, readings_of, row_of, state_of

PAGE_SIZE: Final = 100
"""Gateways on one page."""

MOST_VALUES: Final = 50
"""A label with more values than this is a name rather than a group, and is not counted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice of a request: the values allowed of each label, a state or None, and a page from 1."""

    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    state: str | None = None
    page: int = 1

    @classmethod
    def of(cls, request: Request) -> Choice:
        """Return the choice of a request. Raises BadRequestError."""
        request.refuse_others("state", "page", beginning="label.")
        state, page = request.single("state") or None, request.single("page") or "1"
        if state is not None and state not in STATES:
            raise BadRequestError(f"the state is not known; known are {', '.join(STATES)}")
        if not (page.isascii() and page.isdigit() and len(page) < 7 and int(page) > 0):
            raise BadRequestError("the page is not a number from 1")
        return cls(request.labels(), state, int(page))

    def allows(self, site: Site) -> bool:
        """Return True if the labels of a gateway are among those asked for."""
        return all(site.config.labels.get(name) in values for name, values in self.labels)

    def query(self, *, state: str | None = None, page: int = 1) -> str:
        """Return the query of the same labels with another state and page, and its question mark."""
        return self._text(self.labels, state, page)

    def with_label(self, name: str, value: str) -> str:
        """Return the query of the same state with one value of one label."""
        others = tuple((other, values) for other, values in self.labels if other != name)
        return self._text((*others, (name, (value,))), self.state, 1)

    @staticmethod
    def _text(labels: Iterable[tuple[str, tuple[str, ...]]], state: str | None, page: int) -> str:
        parts = [(f"label.{name}", value) for name, values in labels for value in values]
        if state is not None:
            parts.append(("state", state))
        if page > 1:
            parts.append(("page", str(page)))
        return f"?{urlencode(parts)}" if parts else ""


@dataclass(frozen=True, slots=True)
class Group:
    """The gateways with one value of a label: how many there are, and how many of them fail."""

    value: str
    count: int
    failing: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the fleet. ``found`` are the gateways chosen, of ``configured`` in all; ``page`` of ``pages``."""

    choice: Choice
    rows: tuple[Row, ...]
    homes: tuple[HomeRow, ...]
    states: tuple[tuple[str, int], ...]
    off_grid: int
    groups: tuple[tuple[str, tuple[Group, ...]], ...]
    found: int
    configured: int
    page: int
    pages: int


def listing(sites: Sequence[Site], choice: Choice) -> Listing:
    """Return the page that is chosen; the last one where there are fewer."""
    labelled = [site for site in sites if choice.allows(site)]
    chosen = [site for site in labelled if choice.state in (None, state_of(site))]
    pages = max(1, -(-len(chosen) // PAGE_SIZE))
    page = min(choice.page, pages)
    shown = sorted(chosen, key=order)[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    counts = Counter(map(state_of, labelled))
    return Listing(
        choice=choice,
        rows=tuple(map(row_of, shown)),
        homes=_homes(sites, shown),
        states=tuple((state, counts[state]) for state in STATES if counts[state]),
        off_grid=sum(map(off_grid, labelled)),
        groups=tuple(_groups(labelled)),
        found=len(chosen),
        configured=len(sites),
        page=page,
        pages=pages,
    )


def _homes(sites: Iterable[Site], shown: Iterable[Site]) -> tuple[HomeRow, ...]:
    """Return the homes of several gateways that have one among those shown."""
    wanted = {home for site in shown if (home := site.config.labels.get("home")) is not None}
    members = (site for site in sites if site.config.labels.get("home") in wanted)
    parts = (part(site, readings_of(site), powers_of(readings_of(site))) for site in members)
    return tuple(homes(parts))


def _groups(sites: Sequence[Site]) -> Iterable[tuple[str, tuple[Group, ...]]]:
    """Return the labels that put several gateways together, each with its values."""
    members: dict[str, dict[str, list[Site]]] = {}
    for site in sites:
        for name, value in site.config.labels.items():
            members.setdefault(name, {}).setdefault(value, []).append(site)
    for name in sorted(members, key=natural):
        values = members[name]
        if len(values) <= MOST_VALUES and any(len(found) > 1 for found in values.values()):
            yield name, tuple(_group(value, values[value]) for value in sorted(values, key=natural))


def _group(value: str, sites: Sequence[Site]) -> Group:
    failing = sum(site.last is not None and not site.last.success for site in sites)
    return Group(value, len(sites), failing)
