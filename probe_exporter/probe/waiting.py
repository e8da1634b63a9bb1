"""The clients that wait for a run, and the round that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from probe_exporter.config import Module
from probe_exporter.errors import GatewayError

if TYPE_CHECKING:
    from probe_exporter.probe.run import Run


@dataclass(slots=True, eq=False)
class Waiter:
    """A client that waits. Times are in seconds of `time.monotonic`; ``started`` in Unix seconds.

    ``wants`` are the endpoints that are still to be read for it; ``notify`` is called once, perhaps in another
    thread, when nothing is left to wait for. ``leader`` is true for the client that began the round.
    ``tedapi`` is true while it waits for a run of TEDAPI as well.
    """

    module: Module
    arrived: float
    started: float
    deadline: float
    notify: Callable[[], None]
    run: Run
    round: Round
    leader: bool
    wants: set[str] = field(default_factory=set)
    tedapi: bool = False
    done: bool = False


@dataclass(slots=True, eq=False)
class Round:
    """The time while clients wait, until the last one leaves or everything has been read.

    ``asked`` are the endpoints that were asked in it and when. ``fresh`` are those that the gateway answered in it, or
    after the previous answer had left; ``unseen`` are the latter alone. ``cause`` is the error because of which those
    who waited got nothing, None where there was none.
    """

    begun: float
    asked: dict[str, float] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)
    waiters: list[Waiter] = field(default_factory=list)
    cause: GatewayError | None = None
    steps: list[str] = field(default_factory=list)
