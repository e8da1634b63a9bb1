"""TLS and basic auth of the exporter's own port, as Prometheus' exporter-toolkit configures them."""

from __future__ import annotations

import asyncio
import base64
import http.client
import logging
import os
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from probe_exporter.errors import ConfigurationError
from probe_exporter.fleet import Fleet
from probe_exporter.simulator import SimulatedCertificate, make_certificate
from probe_exporter.telemetry import Telemetry
from probe_exporter.web.passwords import PasswordCheck, check, cost
from probe_exporter.web.security import WebSecurity
from tests import configs
from tests.test_web import Exporter, served

PASSWORD = "open sesame"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key"


def save(certificate: SimulatedCertificate, folder: Path, name: str = "server") -> None:
    (folder / f"{name}.crt").write_bytes(certificate.pem)
    (folder / f"{name}.key").write_bytes(certificate.key_pem)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(make_certificate(), tmp_path)
    return tmp_path


def written(folder: Path, text: str) -> Path:
    """The file with this text, and a time of change that no earlier one had."""
    file = folder / "web.yaml"
    moment = file.stat().st_mtime_ns + 10_000_000 if file.exists() else None
    file.write_text(text)
    if moment is not None:
        os.utime(file, ns=(moment, moment))
    return file


@contextmanager
def exporter(folder: Path, text: str) -> Iterator[Exporter]:
    telemetry = Telemetry()
    fleet = Fleet(configs.config(configs.gateway()), telemetry)
    with served(fleet, telemetry, web_config_file=written(folder, text)) as running:
        yield running


def ask(port: int, authorization: str | None = None, context: ssl.SSLContext | None = None) -> int:
    """The status of /-/healthy."""
    if context is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request(
            "GET", "/-/healthy", headers={"Authorization": authorization} if authorization else {}
        )
        return connection.getresponse().status
    finally:
        connection.close()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def trusting(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.maximum_version = version
    return context


def shown(port: int) -> bytes:
    """The certificate that the port shows."""
    import socket

    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        trusting().wrap_socket(plain) as connection,
    ):
        certificate = connection.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate


# Basic auth


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (basic("prometheus", PASSWORD), 200),
        (basic("prometheus", "wrong"), 401),
        (basic("nobody", PASSWORD), 401),
        (basic("", ""), 401),
        (None, 401),
        ("Basic", 401),
        ("Basic !!!", 401),
        ("Basic /w==", 401),
        ("Bearer " + PASSWORD, 401),
        (basic("prometheus", PASSWORD).replace("Basic", "bAsIc"), 200),
    ],
)
def test_basic_auth(folder: Path, authorization: str | None, status: int) -> None:
    with exporter(folder, f'basic_auth_users: {{prometheus: "{HASH}"}}') as running:
        assert ask(running.port, authorization) == status
        assert ask(running.port, authorization) == status, "also the second time"


def test_users_change_without_a_restart(folder: Path) -> None:
    with exporter(folder, f'basic_auth_users: {{prometheus: "{HASH}"}}') as running:
        assert ask(running.port, basic("prometheus", PASSWORD)) == 200
        written(folder, f'basic_auth_users: {{another: "{HASH}"}}')
        assert ask(running.port, basic("prometheus", PASSWORD)) == 401
        assert ask(running.port, basic("another", PASSWORD)) == 200
        written(folder, "basic_auth_users: {}")
        assert ask(running.port) == 200


def test_a_bad_file_changes_nothing_but_the_log(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with exporter(folder, f'basic_auth_users: {{prometheus: "{HASH}"}}') as running:
        for text in ("[", "basic_auth_users: {prometheus: plain}", "other: {}", f"{TLS}}}"):
            written(folder, text)
            with caplog.at_level(logging.ERROR):
                assert ask(running.port, basic("prometheus", PASSWORD)) == 200
                assert ask(running.port) == 401
            assert "keeping the previous one" in caplog.text
            caplog.clear()


# TLS


def test_tls(folder: Path) -> None:
    with exporter(folder, f"{TLS}}}") as running:
        assert ask(running.port, context=trusting()) == 200
        assert shown(running.port) == ssl.PEM_cert_to_DER_cert((folder / "server.crt").read_text())
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(running.port)


def test_the_least_version(folder: Path) -> None:
    with exporter(folder, f"{TLS}, min_version: TLS13}}") as running:
        assert ask(running.port, context=trusting()) == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(running.port, context=trusting(ssl.TLSVersion.TLSv1_2))


def test_a_new_certificate_without_a_restart(folder: Path) -> None:
    with exporter(folder, f"{TLS}}}") as running:
        before = shown(running.port)
        renewed = make_certificate()
        save(renewed, folder)
        os.utime(folder / "server.key", ns=(1, 1))
        assert ask(running.port, context=trusting()) == 200, "the request that notices"
        assert shown(running.port) == renewed.der != before


def test_a_file_that_is_caught_half_written_opens_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = f'{TLS}}}\nbasic_auth_users:\n  prometheus: "{HASH}"\n'
    with exporter(folder, whole) as running:
        for length in range(0, len(whole) - 1, 12):
            written(folder, whole[:length])
            assert ask(running.port, context=trusting()) == 401
            assert "keeping the previous one" in caplog.text
            caplog.clear()
        written(folder, whole)
        assert ask(running.port, basic("prometheus", PASSWORD), trusting()) == 200


def test_what_only_a_start_can_change(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "ca.crt").write_bytes((folder / "server.crt").read_bytes())
    with exporter(folder, f"{TLS}}}") as running, caplog.at_level(logging.ERROR):
        for text in ("{}", f"{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt}}"):
            written(folder, text)
            assert ask(running.port, context=trusting()) == 200
            assert "without a restart" in caplog.text
            caplog.clear()


def authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    return issue("authority", key, "authority", key, True), key


def issue(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now().astimezone()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    return builder.sign(signer, hashes.SHA256())


def test_client_certificates(folder: Path) -> None:
    root, signer = authority()
    key = ec.generate_private_key(ec.SECP256R1())
    client = issue("prometheus", key, "authority", signer, False)
    pem = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(root.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "client.pem").write_bytes(private + client.public_bytes(pem))
    text = f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt}}"
    with exporter(folder, text) as running:
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ask(running.port, context=trusting())
        known = trusting()
        known.load_cert_chain(folder / "client.pem")
        assert ask(running.port, context=known) == 200


# Mistakes


MISTAKES: dict[str, tuple[str, str]] = {
    "another key": ("http_server_config: {read_timeout: 1s}", "read_timeout: is not supported here"),
    "another TLS key": (
        f"{TLS}, curve_preferences: [X25519]}}",
        "tls_server_config.curve_preferences: is not supported here",
    ),
    "no certificate": (
        "tls_server_config: {key_file: server.key}",
        "tls_server_config.cert_file: is missing",
    ),
    "no key": ("tls_server_config: {cert_file: server.crt}", "tls_server_config.key_file: is missing"),
    "no such file": (
        "tls_server_config: {cert_file: a, key_file: b}",
        "cannot be used: no such file or directory",
    ),
    "no certificate in the file": (
        "tls_server_config: {cert_file: web.yaml, key_file: web.yaml}",
        "cannot be used",
    ),
    "a version that is none": (f"{TLS}, min_version: TLS10}}", "must be one of TLS12, TLS13"),
    "an authority that is missing": (
        f"{TLS}, client_auth_type: RequireAndVerifyClientCert}}",
        "client_ca_file: is missing",
    ),
    "another way to check": (f"{TLS}, client_auth_type: RequestClientCert}}", "must be one of NoClientCert"),
    "a list for a word": (f"{TLS}, client_auth_type: [x]}}", "must be one of NoClientCert"),
    "a list for a file": (f"{TLS}, client_ca_file: [5]}}", "client_ca_file: is missing"),
    "no authority in the file": (
        f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: /dev/null}}",
        "client_ca_file holds no certificate",
    ),
    "text in place of an authority": (
        f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: web.yaml}}",
        "client_ca_file holds no certificate",
    ),
    "an authority of nobody": (f"{TLS}, client_ca_file: server.crt}}", "otherwise no client is checked"),
    "a suite that is none": (f"{TLS}, cipher_suites: [x]}}", "cipher_suites[0]: is not a cipher suite"),
    "a word for suites": (f"{TLS}, cipher_suites: x}}", "must be a list"),
    "versions that leave none": (f"{TLS}, min_version: TLS13, max_version: TLS12}}", "must not be above"),
    "another header": ("http_server_config: {headers: {Server: x}}", "Server: is not supported here"),
    "another frame": ("http_server_config: {headers: {X-Frame-Options: x}}", "must be deny or sameorigin"),
    "another sniffing": ("http_server_config: {headers: {X-Content-Type-Options: x}}", "must be nosniff"),
    "a header of two lines": (
        'http_server_config: {headers: {X-XSS-Protection: "1\\r\\nX: y"}}',
        "must be one line of ASCII text",
    ),
    "HTTP/2": ("http_server_config: {http2: true}", "http2: is not offered here"),
    "an empty file": ("", "is empty; write {}"),
    "a comment alone": ("# basic_auth_users:\n", "is empty; write {}"),
    "an empty section": ("basic_auth_users:\n", "basic_auth_users: is empty"),
    "a key twice": ("basic_auth_users: {}\nbasic_auth_users: {}\n", "written twice"),
    "no mapping": ("- a", "must be a mapping"),
    "no YAML": ("a: [", "expected"),
    "a password in place of a hash": ("basic_auth_users: {me: secret}", "must be a bcrypt hash"),
    "a list of users": ("basic_auth_users: [me]", "must be a mapping"),
    "TLS as a word": ("tls_server_config: yes", "must be a mapping"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake(folder: Path, text: str, message: str) -> None:
    file = written(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        WebSecurity.load(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_every_mistake_in_one_go(folder: Path) -> None:
    file = written(folder, "basic_auth_users: {me: secret}\nother: 1\ntls_server_config: {key_file: 1}")
    with pytest.raises(ConfigurationError) as caught:
        WebSecurity.load(file)
    assert len(caught.value.mistakes) >= 3


def test_an_encrypted_key_is_an_error_and_asks_nobody(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    (folder / "server.key").write_bytes(encrypted)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        WebSecurity.load(written(folder, f"{TLS}}}"))


def test_two_braces_are_a_port_that_is_open_to_all(folder: Path) -> None:
    with exporter(folder, "{}") as running:
        assert ask(running.port) == 200


def test_no_file_means_no_guard() -> None:
    security = WebSecurity.load(None)
    assert not security.tls
    app = object()
    assert security.guard(app) is app  # type: ignore[arg-type]


COSTS = {"alice": 4, "bob": 6, "carol": 8}
DEAR = {user: bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds)) for user, rounds in COSTS.items()}


@pytest.mark.parametrize("user", [*COSTS, "nobody"])
def test_the_time_of_a_wrong_password_tells_nothing_about_the_user(
    user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = 0

    def counted(password: bytes, stored: bytes) -> bool:
        nonlocal work
        work += 1 << cost(stored)
        return checkpw(password, stored)

    checkpw = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", counted)
    assert not check(DEAR, user, "wrong")
    assert work == 1 << max(COSTS.values())
    assert check(DEAR, user, PASSWORD) == (user != "nobody")


def test_too_many_guesses_at_once_are_put_off(folder: Path) -> None:
    dear = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(8)).decode()
    with (
        exporter(folder, f'basic_auth_users: {{prometheus: "{dear}"}}') as running,
        ThreadPoolExecutor(60) as pool,
    ):
        assert ask(running.port, basic("prometheus", PASSWORD)) == 200
        guesses = [pool.submit(ask, running.port, basic("prometheus", str(number))) for number in range(120)]
        assert ask(running.port, basic("prometheus", PASSWORD)) == 200, "who is known does not wait"
        assert {guess.result() for guess in guesses} == {401, 503}


def test_a_head_too_long_is_a_400_before_any_password(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with exporter(folder, f"basic_auth_users: {{prometheus: '{HASH}'}}") as running:
        reply = running.ask("/-/healthy", Long="x" * 20_000)
    assert reply.status == 400
    assert "Exception" not in caplog.text


def test_guesses_push_nobody_out_who_is_known() -> None:
    passwords, users = PasswordCheck(), {"prometheus": HASH.encode()}

    async def guess() -> int:
        assert await passwords.admits(users, basic("prometheus", PASSWORD))
        for number in range(1100):
            assert not await passwords.admits(users, basic("prometheus", f"guess {number}"))
        return len(passwords._right)

    assert asyncio.run(guess()) == 1
