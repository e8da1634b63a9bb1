"""docs/architecture.md with the table of the session, which is made of `probe_exporter.gateway.transitions`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from probe_exporter.gateway.transitions import TRANSITIONS, Event, State, Wait

PAGE: Final = Path(__file__).parent.parent / "docs" / "architecture.md"
_BEGIN: Final = "<!-- session -->\n"
_END: Final = "<!-- /session -->"


def markdown() -> str:
    """The page with the table anew."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + _diagram() + "\n" + _table() + _END + after


def _table() -> str:
    columns = ["", *(state.value for state in State)]
    rows = [[event.value, *(_cell(state, event) for state in State)] for event in Event]
    lines = [f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *rows]]
    return "\n".join(lines) + "\n"


def _cell(state: State, event: Event) -> str:
    after, wait = TRANSITIONS[state, event]
    word = "–" if after is state else f"**{after.value}**"
    return word if wait is Wait.NO else f"{word}, {wait.value}"


def _diagram() -> str:
    moves: dict[tuple[State, State], list[str]] = {}
    for (state, event), (after, _) in TRANSITIONS.items():
        if after is not state:
            moves.setdefault((state, after), []).append(event.name.lower())
    arrows = [
        f"    {state.name} --> {after.name}: {', '.join(names)}" for (state, after), names in moves.items()
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> NONE", *arrows, "```", ""])


if __name__ == "__main__":
    print(markdown(), end="")
