"""The session as a table: for each state and event the next state, and the wait before the next login.

docs/architecture.md shows the same table, and a test walks every cell.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """The states of a session. The values are the words on disk."""

    NONE = "no session"
    UNPROVEN = "unproven"
    """A login gave the token; no endpoint has accepted it yet."""
    PROVEN = "proven"
    """An endpoint that needs a session has accepted the token."""
    RESTING = "resting"
    """The gateway refused the login, or was busy or limited it; no login before the wait is over."""
    OPEN = "open"
    """The gateway has no login (404, firmware 1.x): everything is asked without a token."""


class Event(Enum):
    """The events that change a session."""

    TOKEN = "a login gave a token"
    REFUSED = "a login was refused (401, 403, or a JSON object without a token)"
    LIMITED = "a login was answered with 429 or 503"
    NONSENSE = "a login was answered with 200 and nonsense"
    ABSENT = "a login was answered with 404"
    FAILED = "a login was answered with another status, or not at all"
    ACCEPTED = "an endpoint accepted the token"
    DISOWNED = "a second endpoint refused a token that no endpoint had accepted (401)"


class Wait(Enum):
    """The waits before the next login, beside the minute that always counts."""

    NO = "none"
    REFUSAL = "5, 10, 20 … 60 minutes"
    PATIENCE = "5 minutes, or Retry-After where longer"
    NONSENSE = "1, 2, 5 minutes"
    HOUR = "an hour"


_REFUSED: Final = (State.RESTING, Wait.REFUSAL)
_TOKEN: Final = (State.UNPROVEN, Wait.NO)

TRANSITIONS: Final[dict[tuple[State, Event], tuple[State, Wait]]] = {
    (State.NONE, Event.TOKEN): _TOKEN,
    (State.NONE, Event.REFUSED): _REFUSED,
    (State.NONE, Event.LIMITED): (State.RESTING, Wait.PATIENCE),
    (State.NONE, Event.NONSENSE): (State.NONE, Wait.NONSENSE),
    (State.NONE, Event.ABSENT): (State.OPEN, Wait.HOUR),
    (State.NONE, Event.FAILED): (State.NONE, Wait.NO),
    (State.NONE, Event.ACCEPTED): (State.NONE, Wait.NO),
    (State.NONE, Event.DISOWNED): (State.NONE, Wait.NO),
    (State.UNPROVEN, Event.TOKEN): _TOKEN,
    (State.UNPROVEN, Event.REFUSED): _REFUSED,
    (State.UNPROVEN, Event.LIMITED): (State.UNPROVEN, Wait.PATIENCE),
    (State.UNPROVEN, Event.NONSENSE): (State.UNPROVEN, Wait.NONSENSE),
    (State.UNPROVEN, Event.ABSENT): (State.OPEN, Wait.HOUR),
    (State.UNPROVEN, Event.FAILED): (State.UNPROVEN, Wait.NO),
    (State.UNPROVEN, Event.ACCEPTED): (State.PROVEN, Wait.NO),
    (State.UNPROVEN, Event.DISOWNED): _REFUSED,
    (State.PROVEN, Event.TOKEN): _TOKEN,
    (State.PROVEN, Event.REFUSED): _REFUSED,
    (State.PROVEN, Event.LIMITED): (State.PROVEN, Wait.PATIENCE),
    (State.PROVEN, Event.NONSENSE): (State.PROVEN, Wait.NONSENSE),
    (State.PROVEN, Event.ABSENT): (State.OPEN, Wait.HOUR),
    (State.PROVEN, Event.FAILED): (State.PROVEN, Wait.NO),
    (State.PROVEN, Event.ACCEPTED): (State.PROVEN, Wait.NO),
    (State.PROVEN, Event.DISOWNED): (State.PROVEN, Wait.NO),
    (State.RESTING, Event.TOKEN): _TOKEN,
    (State.RESTING, Event.REFUSED): _REFUSED,
    (State.RESTING, Event.LIMITED): (State.RESTING, Wait.PATIENCE),
    (State.RESTING, Event.NONSENSE): (State.NONE, Wait.NONSENSE),
    (State.RESTING, Event.ABSENT): (State.OPEN, Wait.HOUR),
    (State.RESTING, Event.FAILED): (State.NONE, Wait.NO),
    (State.RESTING, Event.ACCEPTED): (State.RESTING, Wait.NO),
    (State.RESTING, Event.DISOWNED): (State.RESTING, Wait.NO),
    (State.OPEN, Event.TOKEN): _TOKEN,
    (State.OPEN, Event.REFUSED): _REFUSED,
    (State.OPEN, Event.LIMITED): (State.RESTING, Wait.PATIENCE),
    (State.OPEN, Event.NONSENSE): (State.OPEN, Wait.NONSENSE),
    (State.OPEN, Event.ABSENT): (State.OPEN, Wait.HOUR),
    (State.OPEN, Event.FAILED): (State.OPEN, Wait.NO),
    (State.OPEN, Event.ACCEPTED): (State.OPEN, Wait.NO),
    (State.OPEN, Event.DISOWNED): (State.OPEN, Wait.NO),
}
"""The next state and the wait, for every state and event."""
