"""The TLS port: its certificate is renewed without a restart, and clients that do not shake hands cost little."""

from __future__ import annotations

import contextlib
import errno
import gc
import http.client
import json
import logging
import os
import resource
import socket
import ssl
import struct
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from probe_exporter.simulator import make_certificate
from probe_exporter.web import accepting, security
from probe_exporter.web.connection import BoundedProtocol
from probe_exporter.web.webconfig import WebConfigFile
from tests.port_process import serving, wait
from tests.test_web_security import (
    TLS,
    ask,
    authority,
    exporter,
    folder,
    issue,
    save,
    shown,
    trusting,
    written,
)

__all__ = ["folder"]


def only(pem: bytes) -> ssl.SSLContext:
    """A client that takes this certificate and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=pem.decode())
    return context


def swap(link: Path, folder: Path) -> None:
    """Point a link elsewhere, at once, as Kubernetes does with a secret."""
    fresh = link.with_name("fresh")
    fresh.symlink_to(folder)
    fresh.replace(link)


def test_a_certificate_is_renewed_though_every_client_refuses_the_old_one(tmp_path: Path) -> None:
    old, new = make_certificate(), make_certificate()
    for name, certificate in (("old", old), ("new", new)):
        (tmp_path / name).mkdir()
        save(certificate, tmp_path / name)
    swap(tmp_path / "data", tmp_path / "old")
    text = "tls_server_config: {cert_file: data/server.crt, key_file: data/server.key}"
    with exporter(tmp_path, text) as running:
        with pytest.raises(ssl.SSLError):
            ask(running.port, context=only(new.pem))
        swap(tmp_path / "data", tmp_path / "new")
        assert ask(running.port, context=only(new.pem)) == 200


def test_discovery_says_that_the_port_has_tls(folder: Path) -> None:
    with exporter(folder, f"{TLS}}}") as running:
        connection = http.client.HTTPSConnection("127.0.0.1", running.port, timeout=10.0, context=trusting())
        connection.request("GET", "/sd")
        (group,) = json.loads(connection.getresponse().read())
        connection.close()
    assert group["labels"]["__scheme__"] == "https"


def test_a_pair_that_is_half_written_is_waited_for(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    renewed = make_certificate()
    with exporter(folder, f"{TLS}}}") as running, caplog.at_level(logging.ERROR):
        before = shown(running.port)
        (folder / "server.crt").write_bytes(renewed.pem)
        assert shown(running.port) == before
        assert shown(running.port) == before
        assert caplog.text.count("keeping the previous one") == 1, "told once"
        (folder / "server.key").write_bytes(renewed.key_pem)
        assert shown(running.port) == renewed.der


def test_a_certificate_that_could_not_be_read_is_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(security, "RETRY_INTERVAL", 0.1)
    renewed = make_certificate()
    with exporter(folder, f"{TLS}}}") as running, caplog.at_level(logging.ERROR):
        before = shown(running.port)
        with monkeypatch.context() as without_descriptors:
            without_descriptors.setattr(ssl.SSLContext, "load_cert_chain", fail)
            save(renewed, folder)
            for _ in range(3):
                assert shown(running.port) == before
                time.sleep(0.15)
        assert caplog.text.count("too many open files") == 1, "told once"
        assert shown(running.port) == renewed.der


def test_a_key_that_becomes_readable_is_another_key(folder: Path) -> None:
    file = WebConfigFile(written(folder, f"{TLS}}}"))
    file.read()
    assert not file.changed()
    (folder / "server.key").chmod(0o600)
    assert file.changed()


def test_the_authority_of_clients_changes_with_the_certificate(folder: Path) -> None:
    pem = serialization.Encoding.PEM
    roots = [authority(), authority()]
    clients = []
    for number, (_, signer) in enumerate(roots):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = issue("prometheus", key, "authority", signer, False)
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"client{number}.pem").write_bytes(private + certificate.public_bytes(pem))
        context = trusting()
        context.load_cert_chain(folder / f"client{number}.pem")
        clients.append(context)
    (folder / "ca.crt").write_bytes(roots[0][0].public_bytes(pem))
    text = f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt}}"
    with exporter(folder, text) as running:
        assert ask(running.port, context=clients[0]) == 200
        (folder / "ca.crt").write_bytes(roots[1][0].public_bytes(pem))
        assert ask(running.port, context=clients[1]) == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(running.port, context=clients[0])


def test_a_client_that_does_not_shake_hands_is_cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "HANDSHAKE_DEADLINE", 0.3)
    with (
        exporter(folder, f"{TLS}}}") as running,
        socket.create_connection(("127.0.0.1", running.port), 10.0) as client,
    ):
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""
        assert ask(running.port, context=trusting()) == 200


def test_clients_count_before_they_have_shaken_hands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accepting, "MAX_CONNECTIONS", 5)
    with exporter(folder, f"{TLS}}}") as running, ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 10.0)) for _ in range(5)
        ]
        time.sleep(0.3)
        for _ in range(3):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ask(running.port, context=trusting())
        assert caplog.text.count("connections are refused: 5 are open already") == 1
        silent[0].close()
        wait(lambda: answers(running.port), "a place")


def alive() -> int:
    """How many connections are in memory, open or not."""
    return sum(isinstance(one, BoundedProtocol) for one in gc.get_objects())


@pytest.mark.parametrize("shakes_hands", [True, False])
def test_a_connection_that_is_reset_leaves_nothing_behind(folder: Path, shakes_hands: bool) -> None:
    with exporter(folder, f"{TLS}}}") as running:
        before = alive()
        gc.disable()
        try:
            for _ in range(20):
                client = socket.create_connection(("127.0.0.1", running.port), 10.0)
                if shakes_hands:
                    client = trusting().wrap_socket(client)
                    client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert client.recv(1000)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
            wait(lambda: alive() <= before, "the end of the connections")
        finally:
            gc.enable()


ODD = {
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "half a hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an alert": b"\x15\x03\x03\x00\x02\x02\x2a",
    "nothing": b"",
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
@pytest.mark.parametrize("reset", [True, False])
def test_what_is_no_handshake_fills_no_log(
    folder: Path, data: bytes, reset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with exporter(folder, f"{TLS}}}") as running:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", running.port), 10.0) as client:
                client.sendall(data)
                if reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert ask(running.port, context=trusting()) == 200
    assert caplog.text == ""


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return ask(port, context=trusting()) == 200
    return False


def kib(process: int) -> int:
    """Memory that a process has in use."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="the TLS of asyncio was another one")
def test_a_tls_connection_costs_little_memory(tmp_path: Path) -> None:
    """SECURITY.md says 70 KiB; here is room for an allocator that rounds up."""
    save(make_certificate(), tmp_path)
    (tmp_path / "web.yaml").write_text(f"{TLS}}}")
    count = 300

    with serving(tmp_path, f"--web.config.file={tmp_path / 'web.yaml'}") as running, ExitStack() as stack:
        before = kib(running.process.pid)
        for _ in range(count):
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port), 10.0))
        with trusting().wrap_socket(socket.create_connection(("127.0.0.1", running.port), 10.0)):
            assert (kib(running.process.pid) - before) / count < 140


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="the TLS of asyncio was another one")
def test_nine_thousand_clients_that_never_shake_hands(tmp_path: Path) -> None:
    save(make_certificate(), tmp_path)
    (tmp_path / "web.yaml").write_text(f"{TLS}}}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 10_000:
        pytest.skip("too few descriptors for so many clients")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with serving(tmp_path, f"--web.config.file={tmp_path / 'web.yaml'}") as running, ExitStack() as stack:
            for _ in range(9000):
                client = stack.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", running.port))
            wait(lambda: "4096 are open already" in running.log, "the cap")
            assert kib(running.process.pid) < 450 << 10
            wait(lambda: answers(running.port), "the end of their handshakes")
            assert kib(running.process.pid) < 450 << 10
            assert len(running.log.splitlines()) < 10
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
