"""What a run of TEDAPI makes of every fault: the table that the tests hold, and that docs/faults.md shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class TedapiOutcome:
    """One row. ``kind`` is a fault of the wire or of TEDAPI; ``says`` stands in the message, in full in the log.

    ``rest`` is how many seconds nothing is asked after it; ``reason`` is None where the run ends well all the same.
    """

    summary: str
    kind: str
    reason: str | None
    says: str = ""
    rest: float = 0.0
    way: Literal["v1", "v1r"] = "v1r"


TEDAPI_OUTCOMES: Final[dict[str, TedapiOutcome]] = {
    "key not confirmed": TedapiOutcome(
        "no Powerwall was switched off and on since the key was registered",
        "tedapi_key_pending", "auth", "switch one Powerwall off for 15 s", 60.0,
    ),
    "key unknown": TedapiOutcome(
        "the key is not registered for this site, or was removed",
        "tedapi_key_unknown", "auth", "register this one", 300.0,
    ),
    "another DIN": TedapiOutcome(
        "the request is signed for another gateway, or this one was replaced",
        "din", "auth", "compare it with the label", 300.0,
    ),
    "clock behind": TedapiOutcome(
        "this machine's clock is two minutes behind the gateway's", "clock", "auth", "set it by NTP", 60.0
    ),
    "wrong password": TedapiOutcome(
        "the last five characters instead of the whole password, or a request that was routed",
        "password", "auth", "not the last five characters", 300.0, "v1",
    ),
    "another certificate": TedapiOutcome(
        "not the pinned one: nothing is sent", "certificate", "tls", "pins", 60.0
    ),
    "busy": TedapiOutcome("503", "tedapi_busy", "busy", "the gateway is busy (503)", 300.0),
    "429": TedapiOutcome("429", "429", "rate_limited", "rate of requests (429)", 300.0),
    "no such path": TedapiOutcome("404", "404_text", "http", "does not have this way to ask"),
    "redirect": TedapiOutcome("302 to elsewhere", "redirect_302", "http", "answers 302"),
    "reset": TedapiOutcome("TCP reset", "reset", "connect", "the connection", 60.0),
    "silence": TedapiOutcome("no answer", "hang", "timeout", "did not answer in time", 60.0),
    "not HTTP": TedapiOutcome("an answer that is not HTTP", "not_http", "decode", "not HTTP"),
    "web page": TedapiOutcome("a web page with 200", "html_200", "decode", "not a signed message"),
    "empty": TedapiOutcome("200 without a body", "empty_200", "decode", "empty"),
    "huge": TedapiOutcome("a body of 400 MB", "huge_body", "decode", "longer than"),
    "gzip bomb": TedapiOutcome("400 MB packed with gzip", "gzip_bomb", "decode", ""),
    "query refused": TedapiOutcome(
        "the gateway does not take the text of a query", "query", "decode", "refuses the query"
    ),
    "gzip": TedapiOutcome("answers are packed with gzip, unasked and unsaid", "tedapi_gzip", None),
    "slow": TedapiOutcome("every answer takes its time", "slow", None),
}  # fmt: skip


def tedapi_markdown() -> str:
    """The part of docs/faults.md about TEDAPI."""
    columns = (
        "fault",
        "what it is",
        "`powerwall_interface_up`, reason",
        "the message has the cure",
        "asked again after",
    )
    rows = [
        f"| {name} | {one.summary} | {'1' if one.reason is None else f'0, `{one.reason}`'} | {one.says} | "
        f"{_time(one.rest)} |"
        for name, one in TEDAPI_OUTCOMES.items()
    ]
    return "\n".join([_HEAD, f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows, ""])


def _time(seconds: float) -> str:
    return f"{seconds / 60.0:g} min" if seconds else "its turn"


_HEAD: Final = """\
## TEDAPI

The same for the newer interface of a simulated Powerwall 3, in a first run. None of it costs a value of the owner
interface, and `probe_success` stays 1. A refused key or password rests 5, 10, 20 … 60 minutes.
"""
