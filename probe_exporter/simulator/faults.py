"""The table of faults, and the faults that are in force at one gateway."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from probe_exporter.simulator import answer_faults as says
from probe_exporter.simulator import body_faults as body
from probe_exporter.simulator import wire_faults as wire
from probe_exporter.simulator.fault import Fault, FaultKind, Phase
from probe_exporter.simulator.listener import Mode
from probe_exporter.simulator.messages import ClientRequest

_ANYWHERE: Final[tuple[Phase, ...]] = ("headers", "body", "connect", "tls", "login")
_ANSWER: Final[tuple[Phase, ...]] = ("headers", "login")
_BODY: Final[tuple[Phase, ...]] = ("body", "login")


def _answer(summary: str, play: says.Play, times: int | None = None) -> FaultKind:
    return FaultKind(summary, _ANSWER, play, session=True, times=times)


def _body(summary: str, spoil: body.Spoil) -> FaultKind:
    return FaultKind(summary, _BODY, body.spoils(spoil), session=True)


KINDS: Final[dict[str, FaultKind]] = {
    "refuse": FaultKind("connections are refused", ("connect",)),
    "black_hole": FaultKind("packets vanish: a full listen queue", ("connect",)),
    "hang": FaultKind("silence after accept, in the handshake, before or in an answer", _ANYWHERE, wire.hang),
    "reset": FaultKind(
        "TCP reset after accept, in the handshake, before or in an answer", _ANYWHERE, wire.reset
    ),
    "close_early": FaultKind("the connection ends, as for reset", _ANYWHERE, wire.close_early),
    "drip": FaultKind("one byte a second", ("body", "headers", "tls", "login"), wire.drip, keeps_answer=True),
    "drip_headers": FaultKind(
        "one byte a second from the status line on", _ANSWER, wire.drip, keeps_answer=True
    ),
    "endless_headers": FaultKind("a head that does not end", _ANSWER, wire.endless_headers),
    "not_http": FaultKind("an answer that is not HTTP", _ANSWER, wire.not_http),
    "length_too_long": FaultKind("Content-Length above what comes", _BODY, wire.too_long_length),
    "length_too_short": FaultKind("Content-Length below what comes", _BODY, wire.too_short_length),
    "huge_body": FaultKind("a body of 400 MB", _BODY, wire.huge_body, session=True),
    "gzip_bomb": FaultKind("400 MB packed with gzip, unasked", _BODY, wire.gzip_bomb, session=True),
    "html_200": _answer("a web page with 200", says.answers(says.HTML)),
    "html_as_json": _answer("a web page with 200 that says it is JSON", says.answers(says.HTML_AS_JSON)),
    "empty_200": _answer("200 without a body", says.answers(says.EMPTY)),
    "404_json": _answer("404 as a JSON document", says.answers(says.NOT_FOUND_JSON)),
    "404_text": _answer("404 as plain text", says.ABSENT),
    "401_once": _answer("401, once", says.UNAUTHORISED, 1),
    "401_forever": _answer("401", says.UNAUTHORISED),
    "403_once": _answer("403, once", says.FORBIDDEN_FAULT, 1),
    "403_forever": _answer("403", says.FORBIDDEN_FAULT),
    "429": _answer("429", says.RATE_LIMITED),
    "429_retry_after": _answer("429 with Retry-After", says.rate_limited_for_a_while),
    "500": _answer("500", says.answers(says.SERVER_ERROR)),
    "502_empty": _answer("502 without a body", says.answers(says.BAD_GATEWAY)),
    "503_busy": _answer("503", says.answers(says.BUSY)),
    "503_retry_after": _answer("503 with Retry-After", says.busy_for_a_while),
    **{
        f"redirect_{status}": _answer(f"{status} to elsewhere", says.redirects(status))
        for status in (301, 302, 303, 307, 308)
    },
    "truncated_json": _body("half a JSON document, and said to be whole", body.truncate),
    "deep_nesting": _body("200,000 lists in one another", body.nest),
    "wrong_types": _body("every value of another type", body.mistype),
    "wrong_document": _body("a list for an object, an object for a list", body.mistype_whole),
    "nulls": _body("null for every value", body.nullify),
    "null_document": _body("null for the whole document", lambda _body, _fault: b"null"),
    "nan": _body("NaN for every number", body.number(b"NaN")),
    "infinity": _body("-Infinity for every number", body.number(b"-Infinity")),
    "huge_number": _body("1e999 for every number", body.number(b"1e999")),
    "long_integer": _body("5,000 digits for every number", body.number(b"7" * body.DIGITS)),
    "invalid_utf8": _body("bytes that are not UTF-8", body.invalid_utf8),
    "lone_surrogates": _body("half a surrogate pair for every text", body.text(b"\\ud800x\\udfff")),
    "control_characters": _body(
        "control characters for every text", body.text(rb"\u0000\n\u001b[31m\u007f\u202e\"\\")
    ),
    "long_strings": _body("200 KB for every text", body.text(b"L" * body.LONG)),
    "many_batteries": _body("60,000 batteries", body.many_batteries),
    "many_entries": _body("thousands of entries", body.many_entries),
    "duplicate_serials": _body(
        "one serial number for all",
        body.twins(
            "PackageSerialNumber",
            "device_serial",
            "ecu_package_serial_number",
            "serial_number",
        ),
    ),
    "duplicate_networks": _body(
        "one name and kind for all networks", body.twins("network_name", "interface", "name")
    ),
    "zero_counters": _body("energy counters at 0, as after a reboot", body.zero_counters),
    "token_dies": _answer("all sessions end, once", says.token_dies, 1),
    "certificate_swap": FaultKind(
        "another certificate after this answer, once",
        ("login", "headers"),
        wire.certificate_swap,
        times=1,
        keeps_answer=True,
    ),
}
"""Every kind of fault, in the order of a connection's life."""


@dataclass(slots=True)
class _Active:
    fault: Fault
    kind: FaultKind
    seen: int = 0
    strikes: int = 0

    def due(self) -> bool:
        """Count one opportunity. Return True if it is to be taken."""
        times = self.kind.times if self.fault.times is None else self.fault.times
        self.seen += 1
        if self.seen <= self.fault.after or (times is not None and self.strikes >= times):
            return False
        self.strikes += 1
        return True


class Faults:
    """The faults in force, the first match first; changed from any thread. ``changed`` is called after a change."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._active: list[_Active] = []
        self._lock = threading.Lock()
        self._changed = changed

    def __iter__(self) -> Iterator[Fault]:
        return iter([active.fault for active in self._active])

    def __len__(self) -> int:
        return len(self._active)

    def add(self, fault: Fault | str, **options: Any) -> Fault:
        """Put a fault in force: ``add("hang", endpoint="meters/*")``. Raises ValueError for one that cannot be."""
        made = Fault(fault, **options) if isinstance(fault, str) else fault
        kind = KINDS.get(made.kind)
        if kind is None:
            raise ValueError(f"no such fault: {made.kind}; there are {', '.join(KINDS)}")
        if made.phase is not None and made.phase not in kind.phases:
            raise ValueError(
                f"{made.kind} cannot strike in the phase {made.phase}; it can in {', '.join(kind.phases)}"
            )
        with self._lock:
            self._active = [*self._active, _Active(made, kind)]
        self._changed()
        return made

    def remove(self, fault: Fault) -> None:
        """Lift one fault. Raises ValueError where it is not in force."""
        with self._lock:
            left = [active for active in self._active if active.fault is not fault]
            if len(left) == len(self._active):
                raise ValueError(f"{fault.kind} is not in force")
            self._active = left
        self._changed()

    def clear(self) -> None:
        """Lift all faults."""
        with self._lock:
            self._active = []
        self._changed()

    def strikes(self, fault: Fault) -> int:
        """The number of times that a fault in force has struck."""
        return sum(active.strikes for active in self._active if active.fault is fault)

    # What the server asks

    def listening(self) -> Mode:
        """The treatment of new connections."""
        kinds = {active.fault.kind for active in self._active}
        if "black_hole" in kinds:
            return "black_hole"
        return "refuse" if "refuse" in kinds else "accept"

    def take(self, phase: Phase) -> Fault | None:
        """The fault that strikes a new connection in ``phase``, which is connect or tls."""
        with self._lock:
            for active in self._active:
                spoils_listener = active.kind.play is None
                if not spoils_listener and active.kind.phase(active.fault) == phase and active.due():
                    return active.fault
        return None

    def strike(self, request: ClientRequest, allowed: bool) -> tuple[Fault, FaultKind] | None:
        """The fault that strikes this request."""
        with self._lock:
            for active in self._active:
                fault, kind = active.fault, active.kind
                if kind.phase(fault) in ("connect", "tls"):
                    continue
                if kind.strikes(fault, request, allowed) and active.due():
                    return fault, kind
        return None
