"""What a probe makes of every fault: the table that the tests hold, and that docs/faults.md shows.

The gateway is a Powerwall 2 with the 21 endpoints of `probe_exporter.gateway.endpoints`, probed for the first time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from probe_exporter.simulator import KINDS
from tests.tedapi_fault_table import tedapi_markdown

ENDPOINTS: Final = 21
UNSPOILT: Final = 20
"""Without the list of grid faults, which a good system_status carries."""
ONCE_MORE: Final = 22
"""The first answer behind the login comes on its connection, where it may belong to another question: asked again."""
PUBLIC: Final = ("status", "customer/registration")

Alone = Literal["lost", "fields", "whole", "repeated", "gateway"]
ALONE: Final[dict[Alone, str]] = {
    "lost": "that endpoint",
    "fields": "the spoilt values of that endpoint",
    "whole": "nothing",
    "repeated": "that endpoint, which is asked twice if its connection was used before",
    "gateway": "everything",
}
"""What is lost when one endpoint alone is struck."""

AtLogin = Literal["refused", "public", "session", "rest", "hang"]
AT_LOGIN: Final[dict[AtLogin, str]] = {
    "refused": "what needs no login",
    "public": "what needs no login",
    "session": "everything",
    "rest": "what needs no login, all asked",
    "hang": "what needs no login, at three quarters of the time",
}
"""What is left when the login alone is struck."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row. ``reason`` is that of a probe with every endpoint struck, None where it succeeds all the same.

    ``requests`` counts those for data then, None where it depends: hangs leave time for fewer, and equal answers in a
    row are asked for once more. ``login_reason`` is the
    probe's when the login alone is struck, and ``cooldown`` how many seconds no login is tried after it.
    """

    reason: str | None
    alone: Alone = "lost"
    requests: int | None = ENDPOINTS
    at_login: AtLogin | None = "public"
    login_reason: str | None = None
    cooldown: float = 60.0


def data(reason: str | None, alone: Alone = "lost", requests: int | None = ENDPOINTS) -> Outcome:
    """A fault that, at the login, costs the session and a minute."""
    return Outcome(reason, alone, requests, login_reason=reason)


def tokenless(reason: str | None, alone: Alone, requests: int | None = ENDPOINTS) -> Outcome:
    """A fault that leaves a JSON object without a token at the login: that counts as a refusal."""
    return Outcome(reason, alone, requests, at_login="refused", login_reason="decode", cooldown=300.0)


def harmless(reason: str | None, alone: Alone, requests: int | None = UNSPOILT) -> Outcome:
    """A fault that leaves a login's answer whole: it has no numbers, no lists, no serials."""
    return Outcome(reason, alone, requests, at_login="session")


def hanging(reason: str) -> Outcome:
    """A fault that takes the time of a request."""
    return Outcome(reason, requests=None, at_login="hang", login_reason=reason)


def dead(reason: str) -> Outcome:
    """No connection, nothing asked."""
    return Outcome(reason, "gateway", 0, at_login=None)


def status(reason: str, login_reason: str, cooldown: float) -> Outcome:
    """A status that counts as a refusal at the login."""
    return Outcome(reason, at_login="refused", login_reason=login_reason, cooldown=cooldown)


FAULTS: Final[dict[str, Outcome]] = {
    "refuse": dead("connect"),
    "black_hole": dead("connect"),
    "hang": hanging("timeout"),
    "reset": data("connect", "repeated", None),
    "close_early": data("connect", "repeated", None),
    "drip": hanging("timeout"),
    "drip_headers": hanging("timeout"),
    "endless_headers": data("decode", requests=ONCE_MORE),
    "not_http": data("decode", requests=ONCE_MORE),
    "length_too_long": data("connect"),
    "length_too_short": data("decode", requests=ONCE_MORE),
    "huge_body": data("decode", requests=ONCE_MORE),
    "gzip_bomb": data("decode", requests=ONCE_MORE),
    "html_200": data("decode"),
    "html_as_json": data("decode"),
    "empty_200": data("decode"),
    "404_json": Outcome("http", at_login="rest", login_reason="auth", cooldown=3600.0),
    "404_text": Outcome("http", at_login="rest", login_reason="auth", cooldown=3600.0),
    "401_once": Outcome(None, requests=UNSPOILT, at_login="refused", login_reason="auth", cooldown=300.0),
    "401_forever": Outcome("auth", requests=None, at_login="refused", login_reason="auth", cooldown=300.0),
    "403_once": Outcome(None, requests=UNSPOILT, at_login="refused", login_reason="auth", cooldown=300.0),
    "403_forever": status("auth", "auth", 300.0),
    "429": status("rate_limited", "rate_limited", 300.0),
    "429_retry_after": status("rate_limited", "rate_limited", 300.0),
    "500": data("http"),
    "502_empty": data("http"),
    "503_busy": status("busy", "busy", 300.0),
    "503_retry_after": status("busy", "busy", 300.0),
    **{f"redirect_{code}": data("http") for code in (301, 302, 303, 307, 308)},
    "truncated_json": data("decode"),
    "deep_nesting": data("decode", requests=None),
    "wrong_types": tokenless("decode", "fields"),
    "wrong_document": data("decode", "fields", None),
    "nulls": tokenless("decode", "fields", None),
    "null_document": data("decode", "fields"),
    "nan": harmless(None, "fields"),
    "infinity": harmless(None, "fields"),
    "huge_number": harmless(None, "fields"),
    "long_integer": harmless(None, "fields"),
    "invalid_utf8": data("decode"),
    "lone_surrogates": tokenless(None, "fields", UNSPOILT),
    "control_characters": tokenless(None, "fields", UNSPOILT),
    "long_strings": Outcome(None, "fields", None, login_reason="decode"),
    "many_batteries": harmless(None, "fields", None),
    "many_entries": harmless(None, "fields", None),
    "duplicate_serials": harmless(None, "fields"),
    "duplicate_networks": harmless(None, "fields"),
    "zero_counters": harmless(None, "fields"),
    "token_dies": Outcome(
        "auth", "whole", requests=None, at_login="refused", login_reason="auth", cooldown=300.0
    ),
    "certificate_swap": harmless(None, "whole"),
}
"""In the order of the simulator's kinds."""


def markdown() -> str:
    """docs/faults.md."""
    rows = [_row(kind, outcome) for kind, outcome in FAULTS.items()]
    columns = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    return "\n".join([_HEAD, *columns, *rows, "", tedapi_markdown()])


def _row(kind: str, outcome: Outcome) -> str:
    cells = [f"`{kind}`", KINDS[kind].summary, _verdict(outcome.reason)]
    cells += ["it depends" if outcome.requests is None else str(outcome.requests), ALONE[outcome.alone]]
    if outcome.at_login is None:
        return "| " + " | ".join([*cells, "", "", ""]) + " |"
    cooldown = f"{outcome.cooldown / 60.0:g} min"
    cells += [_verdict(outcome.login_reason), AT_LOGIN[outcome.at_login], cooldown]
    return "| " + " | ".join(cells) + " |"


def _verdict(reason: str | None) -> str:
    return "1" if reason is None else f"0, `{reason}`"


_HEAD: Final = """\
# The effect of every fault

Written by `make docs` from the table that the tests hold (`tests/fault_table.py`); do not edit.

Each kind of fault is played by a simulated Powerwall 2 over real TLS: at every endpoint of a probe, at each endpoint
alone, and at the login alone. In each case the answer leaves before the deadline, only the paths of the list are
requested, and **one login is tried, never two**. `probe_success` and the reason are those of a first probe;
an endpoint that fails alone loses only its own metrics.
"""
_COLUMNS: Final = (
    "fault",
    "description",
    "everywhere: `probe_success`",
    "data requests",
    "one endpoint alone: lost",
    "at login: `probe_success`",
    "left",
    "next login after",
)


if __name__ == "__main__":
    print(markdown(), end="")
