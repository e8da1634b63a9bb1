"""How polite the login is: the rules of rests and renewals, on a clock that the test turns."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from probe_exporter.errors import (
    AbsentError,
    AuthError,
    BusyError,
    DecodeError,
    GatewayError,
    LoginRestError,
    RateLimitError,
    StatusError,
)
from probe_exporter.gateway.login import Login
from probe_exporter.gateway.state import LoginStore
from probe_exporter.gateway.wire import HttpAnswer
from tests.clocks import TurnedClock
from tests.configs import PASSWORD, gateway

TOKEN = "dG9rZW4_-" * 9 + "=="
GRANTED = HttpAnswer(200, {}, json.dumps({"token": TOKEN}).encode(), True)


def answer(status: int, body: bytes = b"", **headers: str) -> HttpAnswer:
    return HttpAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, True)


def attempt(login: Login, reply: HttpAnswer) -> GatewayError | None:
    login.check_allowed()
    login.begin()
    try:
        login.finish(reply)
    except GatewayError as error:
        return error
    return None


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


def test_the_session_is_presented_as_cookie_and_bearer(clock: TurnedClock) -> None:
    login = Login(gateway(), clock)
    assert login.headers() == b""
    assert attempt(login, GRANTED) is None
    assert login.headers() == f"Cookie: AuthCookie={TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


def test_the_body_logs_in_as_an_owner_and_leaves_the_site_master_alone(clock: TurnedClock) -> None:
    assert json.loads(Login(gateway(), clock).body()) == {
        "username": "customer",
        "email": "me@example.com",
        "password": PASSWORD,
        "force_sm_off": False,
    }


OUTCOMES: dict[str, tuple[HttpAnswer, type[GatewayError], float]] = {
    "refused": (answer(401, b'{"error":"bad credentials"}'), AuthError, 300.0),
    "forbidden": (answer(403), AuthError, 300.0),
    "limited": (answer(429), RateLimitError, 300.0),
    "limited for long": (answer(429, retry_after="1200"), RateLimitError, 1200.0),
    "limited for a moment": (answer(429, retry_after="7"), RateLimitError, 300.0),
    "limited until a date": (answer(429, retry_after="Sun, 15 Jun 2025 13:00:00 GMT"), RateLimitError, 300.0),
    "busy": (answer(503), BusyError, 300.0),
    "server error": (answer(500), StatusError, 60.0),
    "redirect": (answer(307, location="http://198.51.100.9/"), StatusError, 60.0),
    "no token": (answer(200, b"{}"), DecodeError, 60.0),
    "no JSON": (answer(200, b"<html>"), DecodeError, 60.0),
    "token that would break a header": (answer(200, b'{"token": "a\\r\\nX: y"}'), DecodeError, 60.0),
    "no login here": (answer(404, b"404 page not found"), AbsentError, 3600.0),
}


@pytest.mark.parametrize(("reply", "kind", "rest"), OUTCOMES.values(), ids=OUTCOMES)
def test_outcome(clock: TurnedClock, reply: HttpAnswer, kind: type[GatewayError], rest: float) -> None:
    login = Login(gateway(), clock)
    assert isinstance(attempt(login, reply), kind)
    assert login.cooldown() == rest
    clock.turn(rest - 1.0)
    with pytest.raises(GatewayError):
        login.check_allowed()
    clock.turn(1.0)
    login.check_allowed()


def test_at_most_one_login_a_minute_even_after_a_success(clock: TurnedClock) -> None:
    login = Login(gateway(), clock)
    attempt(login, GRANTED)
    with pytest.raises(LoginRestError, match="less than a minute ago"):
        login.check_allowed()
    assert not login.resting_refused


def test_refusals_rest_longer_each_time(clock: TurnedClock) -> None:
    login = Login(gateway(), clock)
    rests = []
    for _ in range(6):
        attempt(login, answer(401))
        rests.append(login.cooldown())
        assert login.resting_refused
        clock.turn(rests[-1])
    assert rests == [300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0]


def test_an_accepted_session_ends_the_row_of_refusals(clock: TurnedClock) -> None:
    login = Login(gateway(), clock)
    attempt(login, answer(401))
    clock.turn(300.0)
    attempt(login, GRANTED)
    login.accept()
    clock.turn(90.0)
    attempt(login, answer(401))
    assert login.cooldown() == 300.0


def test_the_rest_names_its_length_and_the_remedy(clock: TurnedClock) -> None:
    login = Login(gateway(), clock)
    attempt(login, answer(401))
    with pytest.raises(LoginRestError, match=r"next is tried in 5m.*check login_email and login_password"):
        login.check_allowed()


def test_a_refused_default_password_names_the_firmware(clock: TurnedClock) -> None:
    error = attempt(Login(gateway(), clock), answer(401, b'{"error":"Default password not supported"}'))
    assert "24.36" in str(error)


def test_no_password_is_said(clock: TurnedClock) -> None:
    with pytest.raises(AuthError, match="no login_password is configured"):
        Login(gateway(login_password=None), clock).check_allowed()


def test_a_403_renews_only_an_old_token_and_a_401_only_an_accepted_one(clock: TurnedClock) -> None:
    login = Login(gateway(), clock)
    attempt(login, GRANTED)
    token = login.state.token
    assert not login.may_renew(403, token, "status")
    assert not login.may_renew(401, token, "status")
    login.accept()
    assert login.may_renew(401, token, "status")
    clock.turn(60.0)
    assert login.may_renew(403, token, "status")


@pytest.mark.parametrize("status", [401, 403])
def test_what_a_login_did_not_mend_is_no_reason_for_another_within_the_hour(
    clock: TurnedClock, tmp_path: Path, status: int
) -> None:
    store = LoginStore(tmp_path, clock)
    login = Login(gateway(), clock, store)
    attempt(login, GRANTED)
    login.suspect("operation")
    login.accept()
    clock.turn(3599.0)
    for one in (login, Login(gateway(), clock, store)):
        assert not one.may_renew(status, one.state.token, "operation")
        assert one.may_renew(status, one.state.token, "status")
    clock.turn(1.0)
    assert login.may_renew(status, login.state.token, "operation")


CUT_SHORT = {
    "no token": (answer(200, b"{}"), "decode"),
    "moved": (answer(301), "http"),
    "broken": (answer(500), "http"),
    "absent": (answer(404, b"404 page not found"), "auth"),
}


@pytest.mark.parametrize(("reply", "reason"), CUT_SHORT.values(), ids=CUT_SHORT)
def test_the_minute_after_a_login_says_why_it_failed(
    clock: TurnedClock, reply: HttpAnswer, reason: str
) -> None:
    login = Login(gateway(), clock)
    error = attempt(login, reply)
    assert error is not None
    login.fail(error)
    clock.turn(59.0)
    with pytest.raises(LoginRestError, match="next is tried in") as caught:
        login.check_allowed()
    assert caught.value.reason == reason
    assert "less than a minute" not in str(caught.value)


def test_a_pipe_in_the_place_of_a_saved_session_holds_nothing_up(clock: TurnedClock, tmp_path: Path) -> None:
    store = LoginStore(tmp_path, clock)
    attempt(Login(gateway(), clock, store), GRANTED)
    (file,) = tmp_path.iterdir()
    file.unlink()
    os.mkfifo(file)
    Login(gateway(), clock, store).check_allowed()


def test_state_survives_a_restart(clock: TurnedClock, tmp_path: Path) -> None:
    store = LoginStore(tmp_path, clock)
    login = Login(gateway(), clock, store)
    attempt(login, GRANTED)
    login.accept()
    clock.turn(5.0)
    again = Login(gateway(), clock, store)
    assert again.headers() == login.headers()
    assert again.cooldown() == 55.0
    files = list(tmp_path.iterdir())
    assert [stat.S_IMODE(os.stat(file).st_mode) for file in files] == [0o600]


def test_a_cool_down_survives_a_restart(clock: TurnedClock, tmp_path: Path) -> None:
    store = LoginStore(tmp_path, clock)
    attempt(Login(gateway(), clock, store), answer(401))
    again = Login(gateway(), clock, store)
    assert again.resting_refused
    assert again.cooldown() == 300.0


def test_other_credentials_start_anew_a_minute_after_the_last_login(
    clock: TurnedClock, tmp_path: Path
) -> None:
    store = LoginStore(tmp_path, clock)
    attempt(Login(gateway(), clock, store), answer(401))
    other = gateway(login_email="you@example.com")
    assert Login(other, clock, store).cooldown() == 60.0
    clock.turn(60.0)
    Login(other, clock, store).check_allowed()


def test_the_file_does_not_hold_the_password(clock: TurnedClock, tmp_path: Path) -> None:
    attempt(Login(gateway(), clock, LoginStore(tmp_path, clock)), GRANTED)
    (file,) = tmp_path.iterdir()
    assert PASSWORD not in file.read_text(encoding="ascii")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 2}', b"\xff\xfe", b"[" * 9000])
def test_a_damaged_file_is_as_good_as_none(clock: TurnedClock, tmp_path: Path, damage: bytes) -> None:
    store = LoginStore(tmp_path, clock)
    attempt(Login(gateway(), clock, store), answer(401))
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    Login(gateway(), clock, store).check_allowed()


def test_a_turned_wall_clock_cannot_lengthen_a_rest(clock: TurnedClock, tmp_path: Path) -> None:
    store = LoginStore(tmp_path, clock)
    attempt(Login(gateway(), clock, store), answer(401))
    (file,) = tmp_path.iterdir()
    saved = json.loads(file.read_text(encoding="ascii"))
    saved["rest_until"] += 1e7
    file.write_text(json.dumps(saved), encoding="ascii")
    assert Login(gateway(), clock, store).cooldown() <= 7200.0


def test_a_directory_that_cannot_be_written_is_no_failure(clock: TurnedClock, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    login = Login(gateway(), clock, LoginStore(tmp_path / "file", clock))
    assert attempt(login, GRANTED) is None
