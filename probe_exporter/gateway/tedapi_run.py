"""TEDAPI of one gateway: a run of its own, with its own connection, deadlines and rests.

A probe starts a run when something is due and none is under way. The run continues even if no client waits any more,
and every whole answer is kept. Without probes there are no runs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from probe_exporter.clock import Clock
from probe_exporter.config import GatewayConfig
from probe_exporter.config.tedapi_section import TedapiConfig
from probe_exporter.errors import (
    AbsentError,
    AuthError,
    BusyError,
    ClockError,
    ConnectError,
    DeadlineError,
    DecodeError,
    GatewayError,
    KeyPendingError,
    RateLimitError,
    TlsError,
)
from probe_exporter.gateway.tedapi_talk import TedapiTalk
from probe_exporter.readings import Reading, read
from probe_exporter.readings.tedapi_config import SiteConfig
from probe_exporter.readings.tedapi_system import SystemInfo
from probe_exporter.tedapi.questions import TIERS, Din, Question
from probe_exporter.telemetry import Telemetry

log = logging.getLogger(__name__)

PERIODS: Final = {"medium": 60.0, "slow": 600.0}
"""Seconds after which a question of a tier is due again."""

SHOWN_FOR: Final = {"medium": 150.0, "slow": 1800.0}
"""Seconds for which a reading is shown."""

MAX_FOLLOWERS: Final = 3
BUSY_REST: Final = 300.0
ABSENT_REST: Final = 3600.0
REFUSED_REST: Final = 300.0
REFUSED_REST_MAX: Final = 3600.0
PENDING_REST: Final = 60.0
PENDING_REST_LATER: Final = 300.0
PENDING_SOON: Final = 900.0
"""Seconds for which an unconfirmed key is tried every minute: the owner has ten minutes for the switch."""

_RETRY: Final = 60.0
_HANGS: Final = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """The result of one question. ``at`` is monotonic, ``read_at`` Unix seconds; ``duration`` is of the request.

    ``reading`` is the last one that arrived, taken ``at``; ``error`` is of the last request, None where it was good.
    """

    reading: Reading | None = None
    at: float = 0.0
    read_at: float = 0.0
    tried: float = 0.0
    duration: float | None = None
    error: GatewayError | None = None


@dataclass(frozen=True, slots=True)
class _Due:
    """A question to a device, and the name under which its answer is kept."""

    question: Question
    din: Din | None

    @property
    def name(self) -> str:
        return self.question.value if self.din is None else f"{self.question.value}/{self.din.text}"


class TedapiRun:
    """The long-lived state of TEDAPI at one gateway. Safe to use from several threads.

    ``owner_headers`` gives the lines of a session of the owner interface, empty where there is none.
    """

    def __init__(
        self,
        config: GatewayConfig,
        section: TedapiConfig,
        clock: Clock,
        owner_headers: Callable[[], bytes],
        telemetry: Telemetry,
    ) -> None:
        self._name = config.name
        self._clock = clock
        self._talk = TedapiTalk(config, section, clock, owner_headers, telemetry)
        self._telemetry = telemetry
        self._kept: dict[str, Asked] = {}
        self._started = clock.monotonic()
        self._rest_until = 0.0
        self._refusals = 0
        self.error: GatewayError | None = None
        """The error that ended the last run early, or the last failure in it; None where there was none."""
        self._ran = False
        self._running = False
        self._closed = False
        self._changed = threading.Condition()
        self._waiting: list[Callable[[], None]] = []

    # For a probe

    def start(self, ended: Callable[[], None] | None = None, patience: float = math.inf) -> bool:
        """Start a run if something is due. Return True if its end is worth waiting for: then ``ended`` is called.

        That is so where the run will probably end within ``patience`` seconds, judged by the last answers, or where
        there is nothing to show yet.
        """
        with self._changed:
            starts = not self._running and not self._closed and self._any_due()
            self._running = self._running or starts
            waits = self._running and (patience >= self._expected() or not self._complete())
            if waits and ended is not None:
                self._waiting.append(ended)
        if starts and not self._begin():
            return False
        return waits

    def _begin(self) -> bool:
        """Start the thread of a run. Return False where the system has none left: the next probe tries again."""
        try:
            threading.Thread(target=self._run, name=f"tedapi {self._name}", daemon=True).start()
        except RuntimeError:
            with self._changed:
                self._running = False
                self._waiting.clear()
            log.warning("%s: no thread is left for TEDAPI; the next probe tries again", self._name)
            return False
        return True

    def _expected(self) -> float:
        """The seconds that the questions of a minute took last."""
        return sum(
            asked.duration or 0.0 for name, asked in self._kept.items() if TIERS[_question(name)] == "medium"
        )

    def _complete(self) -> bool:
        """Return True if every question has an answer that is young enough to be shown."""
        now = self._clock.monotonic()
        return all(
            question.value in self._kept and _shown(question.value, self._kept[question.value], now)
            for question in Question
        )

    def wait(self, deadline: float) -> None:
        """Wait for the end of a run, until ``deadline`` (seconds of `time.monotonic`) at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, max(0.0, deadline - time.monotonic()))

    def answers(self) -> dict[str, Asked]:
        """The last result of each question by its name, without readings that are too old."""
        now = self._clock.monotonic()
        with self._changed:
            found = dict(self._kept)
        return {
            name: asked if _shown(name, asked, now) else replace(asked, reading=None)
            for name, asked in found.items()
        }

    @property
    def up(self) -> bool | None:
        """Return True if the last run ended well, None before the first has ended."""
        return self.error is None if self._ran else None

    @property
    def cooldown(self) -> float:
        """Seconds for which nothing is asked, because of a refusal or of load."""
        return max(0.0, self._rest_until - self._clock.monotonic())

    @property
    def pinned(self) -> bool:
        """Return True if the certificate at the address of TEDAPI is pinned."""
        return self._talk.pinned

    @property
    def certificate(self) -> bytes | None:
        """The certificate that was shown last, DER."""
        return self._talk.certificate

    def close(self) -> None:
        """Stop asking. A run that is under way ends with the question that it asks, and closes its connection."""
        with self._changed:
            self._closed = True
            idle = not self._running
        if idle:
            self._talk.close()

    # Schedule

    def _any_due(self) -> bool:
        now = self._clock.monotonic()
        return now >= self._rest_until and next(self._due(now), None) is not None

    def _due(self, now: float) -> Iterator[_Due]:
        """The questions that are due. The configuration comes first: it lists followers, and the pack inside."""
        questions = (Question.CONFIG, Question.CONTROLLER, Question.COMPONENTS, Question.SYSTEM)
        for question in questions:
            if self._is_due(question.value, question, now):
                yield _Due(question, None)
        for din in self._followers():
            follower = _Due(Question.COMPONENTS, din)
            if self._is_due(follower.name, Question.COMPONENTS, now):
                yield follower

    def _is_due(self, name: str, question: Question, now: float) -> bool:
        asked = self._kept.get(name)
        if asked is None:
            return True
        if isinstance(asked.error, AbsentError):
            return now - asked.tried >= ABSENT_REST
        period = _RETRY if asked.error is not None else PERIODS[TIERS[question]]
        return now - asked.tried >= period

    def _followers(self) -> list[Din]:
        """The followers that the configuration lists, where this way reaches them."""
        config = self._value(Question.CONFIG)
        if not self._talk.reaches_followers or not isinstance(config, SiteConfig):
            return []
        return followers(config)

    def _value(self, question: Question) -> object | None:
        asked = self._kept.get(question.value)
        return asked.reading.value if asked is not None and asked.reading is not None else None

    # The run, in a thread of its own

    def _run(self) -> None:
        failure: GatewayError | None = None
        try:
            failure = self._ask_all()
        except GatewayError as error:
            failure = error.as_value()
            self._rest(failure)
        except Exception as error:  # noqa: BLE001
            # The traceback stays out of the log: its lines may quote what a gateway sent.
            log.error("%s: a defect of the exporter ended a run: %s", self._name, type(error).__name__)
            failure = DecodeError(
                f"a defect of the exporter: {type(error).__name__}; please report it"
            ).as_value()
        self._tell(failure)
        with self._changed:
            self.error = failure
            self._ran = True
            self._running = False
            waiting, self._waiting = self._waiting, []
            self._changed.notify_all()
        for ended in waiting:
            ended()
        if self._closed:
            self._talk.close()

    def _ask_all(self) -> GatewayError | None:
        """Ask what is due, one at a time; the first failure that did not end the run. Raises what ended it."""
        failure: GatewayError | None = None
        hangs = 0
        asked: set[str] = set()
        while not self._closed:
            now = self._clock.monotonic()
            due = next((one for one in self._due(now) if one.name not in asked), None)
            if due is None:
                break
            asked.add(due.name)
            try:
                self._ask(due)
            except (ConnectError, TlsError, AuthError, RateLimitError, BusyError):
                raise
            except GatewayError as error:
                failure = failure or error.as_value()
                hangs += isinstance(error, DeadlineError)
                if hangs >= _HANGS:
                    raise
        if failure is None:
            self._refusals = 0
        return failure

    def _ask(self, due: _Due) -> None:
        """Ask one question and keep its answer. Raises a GatewayError, which is kept as well."""
        begun = self._clock.monotonic()
        started = time.monotonic()
        name = due.name
        try:
            document, middle = self._talk.ask(due.question, due.din)
            reading = read(due.question.value, document, middle)
        except GatewayError as error:
            duration = time.monotonic() - started
            self._telemetry.count_request_failure(error.reason)
            before = self._kept.get(name, Asked())
            self._keep(name, replace(before, tried=begun, duration=duration, error=error.as_value()))
            raise
        found = Asked(reading, self._clock.monotonic(), middle, begun, time.monotonic() - started)
        self._tell_firmware(due, reading)
        self._keep(name, found)

    def _keep(self, name: str, asked: Asked) -> None:
        with self._changed:
            self._kept[name] = asked
            self._changed.notify_all()

    # Failures

    def _rest(self, error: GatewayError) -> None:
        """The seconds without a request after this error."""
        now = self._clock.monotonic()
        if isinstance(error, (RateLimitError, BusyError)):
            rest = max(BUSY_REST, error.retry_after or 0.0)
        elif isinstance(error, KeyPendingError):
            rest = PENDING_REST if now - self._started < PENDING_SOON else PENDING_REST_LATER
        elif isinstance(error, ClockError):
            rest = _RETRY
        elif isinstance(error, AuthError):
            rest = min(REFUSED_REST * 2.0 ** min(self._refusals, 10), REFUSED_REST_MAX)
            self._refusals += 1
        else:
            rest = _RETRY
        self._rest_until = now + rest

    def _tell(self, failure: GatewayError | None) -> None:
        """Log a line when TEDAPI begins to fail, fails for another reason, or works again."""
        before = self.error
        if failure is not None and (before is None or str(before) != str(failure)):
            log.warning("%s: TEDAPI (%s): %s", self._name, failure.reason, failure)
        elif failure is None and before is not None:
            log.info("%s: TEDAPI answers again", self._name)

    def _tell_firmware(self, due: _Due, reading: Reading) -> None:
        before, now = self._value(Question.SYSTEM), reading.value
        if due.question is not Question.SYSTEM:
            return
        if isinstance(before, SystemInfo) and isinstance(now, SystemInfo) and before.version != now.version:
            log.info("%s: the firmware changed from %s to %s", self._name, before.version, now.version)


def _shown(name: str, asked: Asked, now: float) -> bool:
    return asked.reading is not None and now - asked.at <= SHOWN_FOR[TIERS[_question(name)]]


def _question(name: str) -> Question:
    return next(one for one in Question if name.startswith(one.value))


def followers(config: SiteConfig) -> list[Din]:
    """The devices behind the leader, at most `MAX_FOLLOWERS`, and only of the form that a DIN has."""
    found = []
    for block in config.followers[:MAX_FOLLOWERS]:
        try:
            found.append(Din(f"{block.part_number}--{block.serial}"))
        except ValueError:
            log.debug("a follower's DIN is malformed")
    return found
