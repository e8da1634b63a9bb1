"""Files of Prometheus' exporter-toolkit: each kind of good one loads and has its effect, or README lists it."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

import pytest

from probe_exporter.errors import ConfigurationError
from probe_exporter.web.webconfig import (
    CLIENT_AUTH,
    HEADERS,
    SUITES,
    SUITES_OF_TLS13,
    VERSIONS,
    WebConfigFile,
)
from tests.test_web_security import HASH, PASSWORD, TLS, ask, basic, exporter, folder, trusting, written

__all__ = ["folder"]

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("\n### TLS, passwords and headers of the port\n")[2].partition("\n#")[0]

EVERY_SUITE = ", ".join([*SUITES, *SUITES_OF_TLS13])
RSA = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"

GOOD = {
    "a certificate": f"{TLS}, client_auth_type: VerifyClientCertIfGiven}}",
    "every suite": f"{TLS}, client_auth_type: VerifyClientCertIfGiven, cipher_suites: [{EVERY_SUITE}]}}",
    "some suites": f"{TLS}, cipher_suites: [{RSA}], min_version: TLS12, max_version: TLS12}}",
    "the client's order": f"{TLS}, cipher_suites: [{RSA}], prefer_server_cipher_suites: false}}",
    "no HTTP/2": f"{TLS}, max_version: TLS12}}\nhttp_server_config: {{http2: false}}",
    "client certificates": f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: server.crt}}",
    "headers": (
        "http_server_config: {headers: {X-Frame-Options: deny, X-XSS-Protection: 1, "
        "X-Content-Type-Options: nosniff}}"
    ),
    "a blank header": 'http_server_config: {headers: {X-Frame-Options: ""}}',
    "users": f'{TLS}}}\nbasic_auth_users: {{alice: "{HASH}", bob: "$2y$18${HASH[7:]}"}}',
    "users without TLS": f'basic_auth_users: {{alice: "{HASH}"}}',
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_a_good_file_loads(folder: Path, text: str) -> None:
    WebConfigFile(written(folder, text)).read()


NOT_TAKEN = {
    "cert": "tls_server_config: {cert: PEM, key_file: server.key}",
    "key": "tls_server_config: {cert_file: server.crt, key: PEM}",
    "client_ca": f"{TLS}, client_ca: PEM}}",
    "client_allowed_sans": f"{TLS}, client_allowed_sans: [a]}}",
    "curve_preferences": f"{TLS}, curve_preferences: [X25519]}}",
    "RequestClientCert": f"{TLS}, client_auth_type: RequestClientCert}}",
    "RequireAnyClientCert": f"{TLS}, client_auth_type: RequireAnyClientCert}}",
    "TLS10": f"{TLS}, min_version: TLS10}}",
    "TLS11": f"{TLS}, min_version: TLS11}}",
    "http2: true": "http_server_config: {http2: true}",
    "rate_limit": "rate_limit: {interval: 1s, burst: 1}",
    "without a `client_ca_file`": f"{TLS}, client_auth_type: RequireAndVerifyClientCert}}",
}


@pytest.mark.parametrize(("words", "text"), NOT_TAKEN.items(), ids=NOT_TAKEN)
def test_what_is_not_taken_is_a_mistake_and_in_the_readme(folder: Path, words: str, text: str) -> None:
    with pytest.raises(ConfigurationError):
        WebConfigFile(written(folder, text)).read()
    assert words in SECTION


def test_what_is_taken_is_in_the_readme() -> None:
    for word in (*CLIENT_AUTH, *HEADERS, *VERSIONS, *SUITES):
        assert f"`{word}`" in SECTION, word
    assert set(re.findall(r"`(TLS_[A-Z0-9_]+)`", SECTION)) == set(SUITES)


# What they do


HEADERS_FILE = (
    "http_server_config:\n  headers:\n"
    "    Strict-Transport-Security: max-age=31536000; includeSubDomains\n"
    "    Content-Security-Policy: default-src 'self'\n"
)


@pytest.mark.parametrize("path", ["/", "/-/healthy", "/metrics", "/nowhere", "/probe", "/sd?unknown=1"])
@pytest.mark.parametrize("authorized", [True, False])
def test_headers_are_in_every_answer(folder: Path, path: str, authorized: bool) -> None:
    with exporter(folder, f'{HEADERS_FILE}basic_auth_users: {{prometheus: "{HASH}"}}') as running:
        headers = {"Authorization": basic("prometheus", PASSWORD)} if authorized else {}
        reply = running.ask(path, **headers)
    assert (reply.status == 401) == (not authorized)
    assert reply.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert reply.headers["content-security-policy"] == "default-src 'self'"
    assert reply.headers["x-content-type-options"] == "nosniff"


def shaken(port: int, context: ssl.SSLContext) -> tuple[str | None, str]:
    """Version and cipher of a handshake."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain) as connection,
    ):
        cipher = connection.cipher()
        assert cipher is not None
        return connection.version(), cipher[0]


def test_the_highest_version(folder: Path) -> None:
    with exporter(folder, f"{TLS}, max_version: TLS12}}") as running:
        assert shaken(running.port, trusting())[0] == "TLSv1.2"


@pytest.mark.parametrize(("go", "openssl"), [one for one in SUITES.items() if "_ECDHE_ECDSA_" in one[0]])
def test_a_cipher_suite(folder: Path, go: str, openssl: str) -> None:
    client = trusting(ssl.TLSVersion.TLSv1_2)
    client.set_ciphers("ALL")
    with exporter(folder, f"{TLS}, cipher_suites: [{go}]}}") as running:
        assert shaken(running.port, client) == ("TLSv1.2", openssl)
        assert shaken(running.port, trusting())[0] == "TLSv1.3", "whose suites are always offered"


def test_suites_of_tls_1_3_alone_leave_no_other_version(folder: Path) -> None:
    with exporter(folder, f"{TLS}, cipher_suites: [TLS_AES_128_GCM_SHA256]}}") as running:
        assert shaken(running.port, trusting())[0] == "TLSv1.3"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shaken(running.port, trusting(ssl.TLSVersion.TLSv1_2))


def test_whose_order_of_suites(folder: Path) -> None:
    ours = ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
    client = trusting(ssl.TLSVersion.TLSv1_2)
    client.set_ciphers(":".join(SUITES[name] for name in reversed(ours)))
    text = f"{TLS}, cipher_suites: [{', '.join(ours)}]"
    with exporter(folder, f"{text}}}") as running:
        assert shaken(running.port, client)[1] == SUITES[ours[0]]
        written(folder, f"{text}, prefer_server_cipher_suites: false}}")
        assert shaken(running.port, client)[1] == SUITES[ours[1]]


def test_no_client_certificate_is_needed_where_one_is_checked_if_given(folder: Path) -> None:
    text = f"{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: server.crt}}"
    with exporter(folder, text) as running:
        assert ask(running.port, context=trusting()) == 200
