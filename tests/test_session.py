"""The session: every cell of its table, walked by the answers of a gateway, on a clock that the test turns."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from probe_exporter.config.schema import GatewayConfig
from probe_exporter.errors import DeadlineError, ForbiddenError, GatewayError
from probe_exporter.gateway.endpoints import BY_NAME
from probe_exporter.gateway.login_record import LoginRecord
from probe_exporter.gateway.session import Session
from probe_exporter.gateway.state import LoginStore
from probe_exporter.gateway.transitions import TRANSITIONS, Event, State, Wait
from probe_exporter.gateway.wire import HttpAnswer
from probe_exporter.secrets import Secret
from tests.clocks import TurnedClock
from tests.configs import PASSWORD, gateway

TOKEN = "dG9rZW4_-" * 9 + "=="
AGGREGATES, SOE, OPERATION, NETWORKS = (
    BY_NAME[name] for name in ("meters/aggregates", "system_status/soe", "operation", "networks")
)


def answer(status: int, body: bytes = b"", **headers: str) -> HttpAnswer:
    return HttpAnswer(status, {name.replace("_", "-"): text for name, text in headers.items()}, body, True)


GRANTED = answer(200, json.dumps({"token": TOKEN}).encode())
REFUSED = answer(401, b'{"code":401,"error":"bad credentials","message":"Login Error"}')


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


def attempt(
    session: Session, reply: HttpAnswer | None, error: GatewayError | None = None
) -> GatewayError | None:
    assert session.begin_login()
    return session.end_login(reply, error)


# The table


def log_in(reply: HttpAnswer | None, error: GatewayError | None = None) -> Callable[[Session], None]:
    """A login whose minute has passed, answered with ``reply``."""

    def send(session: Session) -> None:
        session.record.last_login = None
        attempt(session, reply, error)

    return send


def accept(session: Session) -> None:
    session.accepted(AGGREGATES, session.token)


def disown(session: Session) -> None:
    for endpoint in (AGGREGATES, SOE):
        session.refused(endpoint, 401, session.token, repeated=True)


EVENTS: dict[Event, Callable[[Session], None]] = {
    Event.TOKEN: log_in(GRANTED),
    Event.REFUSED: log_in(REFUSED),
    Event.LIMITED: log_in(answer(429)),
    Event.NONSENSE: log_in(answer(200, b"<html>")),
    Event.ABSENT: log_in(answer(404)),
    Event.FAILED: log_in(None, DeadlineError("no whole answer within 5 s")),
    Event.ACCEPTED: accept,
    Event.DISOWNED: disown,
}

WAYS: dict[State, tuple[Event, ...]] = {
    State.NONE: (),
    State.UNPROVEN: (Event.TOKEN,),
    State.PROVEN: (Event.TOKEN, Event.ACCEPTED),
    State.RESTING: (Event.REFUSED,),
    State.OPEN: (Event.ABSENT,),
}
"""How a new session gets into each state."""

SECONDS = {Wait.NO: 0.0, Wait.REFUSAL: 300.0, Wait.PATIENCE: 300.0, Wait.NONSENSE: 60.0, Wait.HOUR: 3600.0}
"""Of the first wait of each kind."""


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_cell(state: State, event: Event, clock: TurnedClock) -> None:
    session = Session(gateway(), clock)
    for step in WAYS[state]:
        EVENTS[step](session)
    assert session.state is state
    clock.turn(4000.0)
    session.record.refusals = 0
    after, wait = TRANSITIONS[state, event]
    EVENTS[event](session)
    assert session.state is after
    assert (session.token is not None) == (after in (State.UNPROVEN, State.PROVEN))
    assert max(0.0, session.record.wait_until - clock.monotonic()) == SECONDS[wait]


def test_the_table_is_whole() -> None:
    assert set(TRANSITIONS) == {(state, event) for state in State for event in Event}


# Requests


def test_the_session_is_presented_as_cookie_and_bearer(clock: TurnedClock) -> None:
    session = Session(gateway(), clock)
    assert session.headers() == b""
    assert attempt(session, GRANTED) is None
    assert session.headers() == f"Cookie: AuthCookie={TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


def test_the_request_logs_in_as_an_owner_and_leaves_the_site_master_alone(clock: TurnedClock) -> None:
    head, _, body = Session(gateway(), clock).login_request("192.0.2.1").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/login/Basic HTTP/1.1\r\nHost: 192.0.2.1\r\n")
    assert json.loads(body) == {
        "username": "customer",
        "email": "me@example.com",
        "password": PASSWORD,
        "force_sm_off": False,
    }


# Waits


WAITS: dict[str, tuple[HttpAnswer, str, float]] = {
    "refused": (REFUSED, "auth", 300.0),
    "forbidden": (answer(403), "auth", 300.0),
    "an object without a token": (answer(200, b"{}"), "decode", 300.0),
    "a token that would break a header": (answer(200, b'{"token": "a\\r\\nX: y"}'), "decode", 300.0),
    "limited": (answer(429), "rate_limited", 300.0),
    "limited for long": (answer(429, retry_after="1200"), "rate_limited", 1200.0),
    "limited for a moment": (answer(429, retry_after="7"), "rate_limited", 300.0),
    "limited until a date": (answer(429, retry_after="Sun, 15 Jun 2025 13:00:00 GMT"), "rate_limited", 300.0),
    "busy": (answer(503), "busy", 300.0),
    "server error": (answer(500), "http", 60.0),
    "redirect": (answer(307, location="http://198.51.100.9/"), "http", 60.0),
    "not JSON": (answer(200, b"<html>"), "decode", 60.0),
    "a list": (answer(200, b"[]"), "decode", 60.0),
    "no login here": (answer(404, b"404 page not found"), "http", 3600.0),
}


@pytest.mark.parametrize(("reply", "reason", "wait"), WAITS.values(), ids=WAITS)
def test_wait(clock: TurnedClock, reply: HttpAnswer, reason: str, wait: float) -> None:
    session = Session(gateway(), clock)
    failure = attempt(session, reply)
    assert failure is not None
    assert failure.reason == reason
    assert session.cooldown() == wait
    clock.turn(wait - 1.0)
    assert not session.login_due()
    clock.turn(1.0)
    assert session.login_due() == session.missing


ROWS: dict[str, tuple[HttpAnswer, list[float]]] = {
    "refusals": (REFUSED, [300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0]),
    "nonsense": (answer(200, b"<html>"), [60.0, 120.0, 300.0, 300.0]),
}


@pytest.mark.parametrize(("reply", "waits"), ROWS.values(), ids=ROWS)
def test_waits_grow(clock: TurnedClock, reply: HttpAnswer, waits: list[float]) -> None:
    session = Session(gateway(), clock)
    found = []
    for _ in waits:
        attempt(session, reply)
        found.append(session.cooldown())
        clock.turn(found[-1])
    assert found == waits


def test_an_accepted_session_ends_the_row_of_refusals(clock: TurnedClock) -> None:
    session = Session(gateway(), clock)
    attempt(session, REFUSED)
    clock.turn(300.0)
    attempt(session, GRANTED)
    accept(session)
    clock.turn(90.0)
    attempt(session, REFUSED)
    assert session.cooldown() == 300.0


def test_one_login_a_minute_even_after_a_success(clock: TurnedClock) -> None:
    session = Session(gateway(), clock)
    attempt(session, GRANTED)
    clock.turn(59.0)
    assert not session.begin_login()
    clock.turn(1.0)
    assert session.begin_login()


def test_the_minute_belongs_to_the_address_whatever_is_configured(clock: TurnedClock) -> None:
    record = LoginRecord()
    before, after = (Session(gateway(name=name), clock, record) for name in ("home", "villa"))
    attempt(before, GRANTED)
    assert not after.begin_login()
    assert after.token is not None, "a gateway that is renamed keeps its session"


def test_other_credentials_end_a_rest_and_keep_the_minute(clock: TurnedClock) -> None:
    record = LoginRecord()
    before = Session(gateway(), clock, record)
    attempt(before, REFUSED)
    after = Session(gateway(login_password=Secret("another")), clock, record)
    after.take_over()
    assert (after.state, after.cooldown()) == (State.NONE, 60.0)
    before.end_login(GRANTED)
    assert after.token is None, "an answer to the old password does not count"


# Messages


AGAIN = "the next login is sent in 5m, or once the configuration of home changes"
DEFAULT = (
    'the gateway refused the login (401, "Default password not supported"): the default password is refused since '
    "firmware 24.36; set a password of your own in the gateway's own Wi-Fi, and put it into login_password"
)
LOCKED = (
    "the gateway has locked its login after too many wrong passwords, for its owner too (429); such a lock lasts 10 to "
    "100 minutes; the next login is sent in 5m"
)
ECHO = json.dumps({"error": f"{PASSWORD} is wrong"}).encode()

MESSAGES: dict[str, tuple[HttpAnswer, str]] = {
    "in the gateway's own words": (
        REFUSED,
        f'the gateway refused the login (401, "bad credentials"): check login_password; {AGAIN}',
    ),
    "the default password": (
        answer(401, b'{"error":"Default password not supported"}'),
        f"{DEFAULT}; {AGAIN}",
    ),
    "a lock": (answer(429), LOCKED),
    "a password that comes back": (
        answer(401, ECHO),
        f"the gateway refused the login (401): check login_password; {AGAIN}",
    ),
    "a server error": (
        answer(500),
        "the gateway answers the login with status 500; the next login is sent in 1m",
    ),
}


@pytest.mark.parametrize(("reply", "text"), MESSAGES.values(), ids=MESSAGES)
def test_message(clock: TurnedClock, reply: HttpAnswer, text: str) -> None:
    session = Session(gateway(), clock)
    attempt(session, reply)
    error = session.obstacle(AGGREGATES)
    assert str(error) == text
    assert session.obstacle(BY_NAME["status"]) is None, "what anybody may read needs no session"


def test_no_password_is_said(clock: TurnedClock) -> None:
    session = Session(gateway(login_password=None), clock)
    assert not session.login_due()
    assert "no login_password is configured" in str(session.refusal())


# Endpoints that refuse the session


def proven(clock: TurnedClock, store: LoginStore | None = None) -> Session:
    session = Session(gateway(), clock, store=store)
    attempt(session, GRANTED)
    accept(session)
    return session


def test_a_403_renews_only_an_old_token_and_a_401_only_an_accepted_one(clock: TurnedClock) -> None:
    session = Session(gateway(), clock)
    attempt(session, GRANTED)
    clock.turn(59.0)
    assert not session.refused(OPERATION, 403, session.token, repeated=False)
    assert not session.refused(OPERATION, 401, session.token, repeated=False)
    accept(session)
    clock.turn(3601.0)
    assert session.refused(OPERATION, 401, session.token, repeated=False)
    assert session.login_due()


def test_several_refusals_ask_for_one_login(clock: TurnedClock) -> None:
    session = proven(clock)
    clock.turn(61.0)
    token = session.token
    assert session.refused(AGGREGATES, 403, token, repeated=False)
    assert session.begin_login()
    assert session.refused(SOE, 403, token, repeated=False), "it waits for the login under way"
    session.end_login(GRANTED)
    assert session.refused(OPERATION, 403, token, repeated=False), "it is asked with the new token"
    assert not session.login_due()


@pytest.mark.parametrize("status", [401, 403])
def test_what_a_login_did_not_mend_is_forbidden_for_an_hour(
    clock: TurnedClock, tmp_path: Path, status: int
) -> None:
    store = LoginStore(tmp_path, clock)
    session = proven(clock, store)
    clock.turn(61.0)
    assert session.refused(NETWORKS, status, session.token, repeated=False)
    attempt(session, GRANTED)
    assert not session.refused(NETWORKS, status, session.token, repeated=True)
    assert not session.forbids(NETWORKS), "the new session itself may be bad"
    accept(session)
    clock.turn(3599.0)
    again = Session(gateway(), clock, store=store)
    again.open()
    for one in (session, again):
        assert one.forbids(NETWORKS)
        assert isinstance(one.refusal_of(NETWORKS, status, one.token), ForbiddenError)
        assert not one.refused(NETWORKS, status, one.token, repeated=False), "and costs no login"
    clock.turn(1.0)
    assert not session.forbids(NETWORKS)


def test_an_endpoint_that_answers_again_is_forbidden_no_longer(clock: TurnedClock) -> None:
    session = proven(clock)
    session.refused(NETWORKS, 403, session.token, repeated=False)
    accept(session)
    assert session.forbids(NETWORKS)
    session.accepted(NETWORKS, session.token)
    assert not session.forbids(NETWORKS)


# On disk


def stored(clock: TurnedClock, folder: Path, config: GatewayConfig | None = None) -> Session:
    session = Session(config or gateway(), clock, store=LoginStore(folder, clock))
    session.open()
    return session


def test_a_session_survives_a_restart(clock: TurnedClock, tmp_path: Path) -> None:
    session = proven(clock, LoginStore(tmp_path, clock))
    clock.turn(5.0)
    again = stored(clock, tmp_path)
    assert (again.state, again.headers(), again.cooldown()) == (State.PROVEN, session.headers(), 55.0)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert PASSWORD not in file.read_text(encoding="ascii")


def test_a_rest_survives_a_restart_and_another_name(clock: TurnedClock, tmp_path: Path) -> None:
    attempt(stored(clock, tmp_path), REFUSED)
    again = stored(clock, tmp_path, gateway(name="villa"))
    assert (again.state, again.cooldown()) == (State.RESTING, 300.0)
    assert "bad credentials" in str(again.refusal())


def test_other_credentials_start_anew_a_minute_after_the_last_login(
    clock: TurnedClock, tmp_path: Path
) -> None:
    attempt(stored(clock, tmp_path), REFUSED)
    other = stored(clock, tmp_path, gateway(login_email="you@example.com"))
    assert (other.state, other.cooldown()) == (State.NONE, 60.0)


def first_format(**changes: object) -> dict[str, object]:
    """A file that release 0.1 wrote before the table was there."""
    return {
        "format": 1,
        "salt": "00" * 16,
        "identity": "",
        "token": TOKEN,
        "obtained": 0.0,
        "accepted": True,
        "last_attempt": 0.0,
        "rest_until": 0.0,
        "rest_reason": "",
        "refusals": 0,
        "open": False,
        "blamed": {},
    } | changes


OLD: dict[str, tuple[dict[str, object], State]] = {
    "proven": (first_format(), State.PROVEN),
    "unproven": (first_format(accepted=False), State.UNPROVEN),
    "resting": (first_format(token=None, rest_reason="auth"), State.RESTING),
    "open": (first_format(token=None, open=True), State.OPEN),
    "none": (first_format(token=None), State.NONE),
}


@pytest.mark.parametrize(("saved", "state"), OLD.values(), ids=OLD)
def test_files_of_the_first_format_are_read(
    clock: TurnedClock, tmp_path: Path, saved: dict[str, object], state: State
) -> None:
    attempt(stored(clock, tmp_path), GRANTED)
    (file,) = tmp_path.iterdir()
    made = json.loads(file.read_text(encoding="ascii"))
    file.unlink()
    saved = saved | {name: made[name] for name in ("salt", "identity")}
    name = "session-4ea140588150773ce3aace786aeef7f4.json"
    (tmp_path / name).write_text(json.dumps(saved), encoding="ascii")
    assert stored(clock, tmp_path).state is state


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b'{"format": 3}', b'{"format": 2}', b"\xff\xfe", b"[" * 9000]
)
def test_a_damaged_file_counts_as_missing(clock: TurnedClock, tmp_path: Path, damage: bytes) -> None:
    attempt(stored(clock, tmp_path), REFUSED)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    assert stored(clock, tmp_path).login_due()


def test_a_pipe_in_the_place_of_a_saved_session_holds_nothing_up(clock: TurnedClock, tmp_path: Path) -> None:
    attempt(stored(clock, tmp_path), GRANTED)
    (file,) = tmp_path.iterdir()
    file.unlink()
    os.mkfifo(file)
    assert stored(clock, tmp_path).login_due()


def test_a_turned_wall_clock_cannot_lengthen_a_wait(clock: TurnedClock, tmp_path: Path) -> None:
    attempt(stored(clock, tmp_path), REFUSED)
    (file,) = tmp_path.iterdir()
    saved = json.loads(file.read_text(encoding="ascii"))
    saved["wait_until"] += 1e7
    file.write_text(json.dumps(saved), encoding="ascii")
    assert stored(clock, tmp_path).cooldown() == 300.0


def test_a_folder_that_cannot_be_written_is_no_failure(clock: TurnedClock, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    session = Session(gateway(), clock, store=LoginStore(tmp_path / "file", clock))
    assert attempt(session, GRANTED) is None
