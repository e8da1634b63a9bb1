"""The definition of a fault: its kind, its place, and its number of strikes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from probe_exporter.simulator.messages import ClientRequest, Steps
from probe_exporter.simulator.sessions import LOGIN
from probe_exporter.simulator.system import SimulatedAnswer

Phase = Literal["connect", "tls", "login", "headers", "body"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to misbehave; the fields below ``after`` matter to some kinds only.

    ``endpoint`` is a pattern such as ``meters/*``; ``*`` is every endpoint but the login, which is
    ``login/Basic`` or the phase ``login``. ``times`` is how often it strikes, None for as often as the kind says.
    ``after`` is how many matching requests (or connections) it lets pass first.
    """

    kind: str
    endpoint: str = "*"
    phase: Phase | None = None
    times: int | None = None
    after: int = 0
    seconds: float = 1.0
    """Pause between two bytes of what drips."""
    retry_after: str = "120"
    """The header Retry-After of 429_retry_after."""
    location: str = "https://gateway.invalid/api/login/Basic"
    """Where a redirect points; ``http:`` at the same gateway for one without TLS."""
    count: int = 60_000
    """The number of batteries."""


@dataclass(frozen=True, slots=True)
class FaultyExchange:
    """The right answer to a request, and what a fault may do to the gateway besides."""

    fault: Fault
    place: Literal["headers", "body"]
    answer: SimulatedAnswer
    revoke_tokens: Callable[[], None]
    swap_certificate: Callable[[], None]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A row of the table. ``play`` gives the steps of a spoilt answer, None where the connection itself is spoilt.

    The first of ``phases`` is the one that is meant when a fault names none. ``session`` marks kinds that strike
    data requests with a good token only, so that the login before them succeeds. ``keeps_answer`` marks those after
    which the right answer arrives all the same.
    """

    summary: str
    phases: tuple[Phase, ...] = ("headers",)
    play: Callable[[FaultyExchange], Steps] | None = None
    session: bool = False
    times: int | None = None
    keeps_answer: bool = False

    def phase(self, fault: Fault) -> Phase:
        """The phase in which ``fault`` strikes."""
        return fault.phase or self.phases[0]

    def place(self, fault: Fault) -> Literal["headers", "body"]:
        """The part of an answer that is spoilt: also that of a login's answer."""
        for phase in (fault.phase, *self.phases):
            if phase == "headers" or phase == "body":
                return phase
        return "headers"

    def strikes(self, fault: Fault, request: ClientRequest, allowed: bool) -> bool:
        """Return True if ``fault`` applies to this request; ``allowed`` is True if the request carries a good token."""
        if self.play is None:
            return False
        endpoint = request.endpoint
        if self.phase(fault) == "login" or endpoint == LOGIN:
            return endpoint == LOGIN and (self.phase(fault) == "login" or fault.endpoint == LOGIN)
        return (allowed or not self.session) and fnmatchcase(endpoint, fault.endpoint)
