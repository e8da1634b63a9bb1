"""The answers of TEDAPI in a record: requested once, scrubbed, and read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from probe_exporter.errors import AuthError, ConnectError, GatewayError, TlsError

if TYPE_CHECKING:
    from probe_exporter.config.schema import GatewayConfig
    from probe_exporter.config.tedapi_section import TedapiConfig
    from probe_exporter.readings import Readings
    from probe_exporter.readings.scrubbing import Scrubber

PREFIX = "tedapi/"


def record_tedapi(
    config: GatewayConfig, section: TedapiConfig, owner_headers: Callable[[], bytes], scrubber: Scrubber
) -> tuple[dict[str, Any], dict[str, str]]:
    """The answers by endpoint, and the reasons of those that did not come."""
    from probe_exporter.clock import SystemClock
    from probe_exporter.gateway.tedapi_talk import TedapiTalk
    from probe_exporter.tedapi.questions import Question
    from probe_exporter.telemetry import Telemetry

    talk = TedapiTalk(config, section, SystemClock(), owner_headers, Telemetry())
    answers: dict[str, Any] = {}
    silent: dict[str, str] = {}
    asked: list[tuple[Question, Any]] = [(question, None) for question in Question]
    try:
        while asked:
            question, din = asked.pop(0)
            suffix = "" if din is None else "/" + scrubber.scrub("din", din.text)
            started = time.monotonic()
            try:
                document, _ = talk.ask(question, din)
            except GatewayError as error:
                silent[question.value + suffix] = error.reason
                if isinstance(error, (AuthError, ConnectError, TlsError)):
                    break
                continue
            if question is Question.CONFIG and talk.reaches_followers:
                asked += [(Question.COMPONENTS, follower) for follower in _followers(document)]
            answers[question.value + suffix] = {
                "status": 200,
                "content_type": "application/json",
                "seconds": round(time.monotonic() - started, 3),
                "body": scrubber.scrub(question.value, document),
            }
    finally:
        talk.close()
    return answers, silent


def _followers(document: object) -> list[Any]:
    from probe_exporter.gateway.tedapi_run import followers
    from probe_exporter.readings import read
    from probe_exporter.readings.tedapi_config import SiteConfig

    config = read("tedapi/config", document, 0.0).value
    return followers(config) if isinstance(config, SiteConfig) else []


def read_tedapi(endpoints: Mapping[str, Any], readings: Readings, recorded: float) -> None:
    """Put the TEDAPI answers of a record into the readings, and return the owner endpoints that they replace.

    Those are the ones that the record does not have as good answers, as for a gateway that is probed.
    """
    from probe_exporter.metrics import TWINNED
    from probe_exporter.readings import ATTRIBUTES, read
    from probe_exporter.readings.tedapi_components import Components

    found = {
        name: answer["body"]
        for name, answer in endpoints.items()
        if name.startswith(PREFIX) and isinstance(answer, dict) and isinstance(answer.get("body"), dict)
    }
    if not found:
        return
    followers = []
    for name, body in found.items():
        attribute = ATTRIBUTES.get(name)
        value = read("/".join(name.split("/")[:2]), body, recorded).value if _known(name) else None
        if attribute is not None:
            setattr(readings, attribute, value)
        elif isinstance(value, Components):
            followers.append(value)
    readings.tedapi_followers = tuple(followers)
    absent = {name for name in TWINNED if getattr(readings, ATTRIBUTES[name]) is None}
    readings.by_tedapi = frozenset(absent | {"solar_powerwall"})
    readings.solar_powerwall = None


def _known(name: str) -> bool:
    from probe_exporter.readings import ATTRIBUTES

    return "/".join(name.split("/")[:2]) in ATTRIBUTES
