"""Faults of the answer: whole and in time, but with a useless status or body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from probe_exporter.simulator.fault import FaultyExchange
from probe_exporter.simulator.messages import Steps, plain
from probe_exporter.simulator.sessions import EXPIRED, FORBIDDEN, LOCKED_OUT
from probe_exporter.simulator.system import NOT_FOUND, SimulatedAnswer, refusal

Play = Callable[[FaultyExchange], Steps]

_WEB_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Login</title></head>"
    b"<body><form action=/login><input name=password></form></body></html>"
)

HTML = SimulatedAnswer(200, _WEB_PAGE, "text/html; charset=utf-8")
HTML_AS_JSON = SimulatedAnswer(200, _WEB_PAGE)
EMPTY = SimulatedAnswer(200, b"")
NOT_FOUND_JSON = refusal(404, "Not Found", "unknown path")
SERVER_ERROR = refusal(500, "Internal Server Error", "runtime error: invalid memory address")
BAD_GATEWAY = SimulatedAnswer(502, b"", None)
BUSY = refusal(503, "current config mode is busy", "Service Unavailable")


def answers(answer: SimulatedAnswer) -> Play:
    """A fault that sends ``answer`` instead of the right one."""

    def play(_exchange: FaultyExchange) -> Steps:
        yield from plain(answer)

    return play


def rate_limited_for_a_while(exchange: FaultyExchange) -> Steps:
    """429 that says how long to wait."""
    yield from plain(replace(LOCKED_OUT, headers=(("retry-after", exchange.fault.retry_after),)))


def busy_for_a_while(exchange: FaultyExchange) -> Steps:
    """503 that says how long to wait."""
    yield from plain(replace(BUSY, headers=(("retry-after", exchange.fault.retry_after),)))


def redirects(status: int) -> Play:
    """A redirect with this status to where the fault says."""

    def play(exchange: FaultyExchange) -> Steps:
        location = (("location", exchange.fault.location),)
        yield from plain(
            SimulatedAnswer(status, b"<a href=there>Moved</a>", "text/html; charset=utf-8", location)
        )

    return play


def token_dies(exchange: FaultyExchange) -> Steps:
    """All sessions end here, as by a reboot that nobody noticed."""
    exchange.revoke_tokens()
    yield from plain(FORBIDDEN)


UNAUTHORISED = answers(EXPIRED)
FORBIDDEN_FAULT = answers(FORBIDDEN)
RATE_LIMITED = answers(LOCKED_OUT)
ABSENT = answers(NOT_FOUND)
