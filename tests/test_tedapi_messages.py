"""TEDAPI as messages: four reads and no other, a key that signs nothing else, answers and refusals as they come."""

from __future__ import annotations

import ast
import json
import pickle
import struct
import subprocess
import sys
from email.utils import formatdate
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe_exporter.errors import (
    AbsentError,
    AuthError,
    BusyError,
    ClockError,
    DecodeError,
    ForbiddenError,
    GatewayError,
    KeyPendingError,
    QueryRefusedError,
    RateLimitError,
    RecipientError,
    StatusError,
    UnknownKeyError,
)
from probe_exporter.secrets import Secret
from probe_exporter.tedapi.queries import installed_file, load_queries
from probe_exporter.tedapi.questions import Din, Question, variables
from tests.tedapi_parts import FOLLOWER, LEADER, key, needs_extra, pem, queries

pytestmark = needs_extra

PACKAGE = Path(__file__).parent.parent / "probe_exporter" / "tedapi"
NOW = 1_790_000_000.25
PASSWORD = "ABCDEFGHIJKL"
READS = {
    Question.CONFIG: ("filestore", "read_file_request"),
    Question.SYSTEM: ("common", "get_system_info_request"),
    Question.CONTROLLER: ("graphql", "query_request"),
    Question.COMPONENTS: ("graphql", "query_request"),
}

every_question = pytest.mark.parametrize("question", Question, ids=lambda question: question.name)


def parsed(data: bytes):  # type: ignore[no-untyped-def]
    from tesla_protocol.energy_device.transport_pb2 import MessageEnvelope

    return MessageEnvelope.FromString(data)


@cache
def wifi():  # type: ignore[no-untyped-def]
    from probe_exporter.tedapi.channel import WifiChannel

    return WifiChannel(Secret(PASSWORD), queries())


@cache
def lan():  # type: ignore[no-untyped-def]
    from probe_exporter.tedapi.channel import LanChannel
    from probe_exporter.tedapi.signing import SigningKey

    return LanChannel(SigningKey(pem(key())), queries())


def incoming(body: bytes = b"", status: int = 200, **headers: str):  # type: ignore[no-untyped-def]
    from probe_exporter.tedapi.channel import Incoming

    return Incoming(status, headers, body, NOW)


class TestTheTable:
    """Nothing outside the four reads can become a message."""

    def test_has_four_reads(self) -> None:
        assert [question.value for question in Question] == [
            "tedapi/config",
            "tedapi/system",
            "tedapi/controller",
            "tedapi/components",
        ]

    @every_question
    def test_a_message_is_one_read_of_one_device(self, question: Question) -> None:
        from probe_exporter.tedapi.messages import envelope

        message = parsed(envelope(question, Din(LEADER), queries()))
        group, request = READS[question]
        assert message.WhichOneof("payload") == group
        assert [field.name for field, _ in getattr(message, group).ListFields()] == [request]
        assert message.recipient.din == LEADER
        assert {field.name for field, _ in message.ListFields()} == {
            "delivery_channel",
            "sender",
            "recipient",
            group,
        }

    def test_the_file_that_is_read_is_the_configuration(self) -> None:
        from probe_exporter.tedapi.messages import envelope

        asked = parsed(envelope(Question.CONFIG, Din(LEADER), {})).filestore.read_file_request
        assert (asked.domain, asked.name) == (1, "config.json")

    @pytest.mark.parametrize("question", [Question.CONTROLLER, Question.COMPONENTS])
    def test_a_query_has_the_text_that_tesla_signed(self, question: Question) -> None:
        from tesla_protocol.energy_device.graphql_api_pb2 import SignedGraphQLQuery

        from probe_exporter.tedapi.messages import envelope

        asked = parsed(envelope(question, Din(LEADER), queries())).graphql.query_request
        signed = SignedGraphQLQuery.FromString(asked.query)
        assert signed.query.decode().lstrip().startswith("query ")
        assert "mutation" not in signed.query.decode()
        assert (signed.version, signed.query) == (1, queries()[question].text)
        assert asked.signature == queries()[question].signature
        assert asked.variables_json.value == variables(question)

    @pytest.mark.parametrize("other", ["tedapi/reboot", "", None, 4])
    def test_nothing_else_can_be_asked(self, other: object) -> None:
        from probe_exporter.tedapi.messages import envelope

        with pytest.raises(KeyError):
            envelope(other, Din(LEADER), queries())  # type: ignore[arg-type]

    def test_the_package_names_no_other_request(self) -> None:
        """Every field of a message that the source names, and where bytes are made of one."""
        named: set[str] = set()
        writers: list[str] = []
        signers: list[str] = []
        for file in PACKAGE.glob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Attribute):
                    named |= {node.attr} if node.attr.endswith("_request") else set()
                    writers += [file.name] if node.attr == "SerializeToString" else []
                    signers += [file.name] if node.attr == "sign" else []
        assert named == {"get_system_info_request", "read_file_request", "query_request"}
        assert writers.count("messages.py") == 2  # the message, and the query inside it
        assert writers.count("signing.py") == 1
        assert set(writers) == {"messages.py", "signing.py"}
        assert signers == ["signing.py"]

    def test_component_types_are_those_that_exist(self) -> None:
        known = set("PVS PVAC TESYNC TEPINV TETHC STSTSM TEMSA PW3BMS PW3SAF PCH PW3HVP BAGGR".split())
        for question in (Question.CONTROLLER, Question.COMPONENTS):
            asked = json.loads(variables(question))
            types = {kind for value in asked.values() if isinstance(value, dict) for kind in value["types"]}
            assert types <= known
            for names in (value for value in asked.values() if isinstance(value, list)):
                assert len(names) == len(set(names))
                assert "PCH_heatsinkTemp" not in names


class TestDins:
    """A DIN is a part number and a serial; nothing else is ever put into a path or a signature."""

    @pytest.mark.parametrize("text", [LEADER, "1152100-14-J--CN3123150C0001"])
    def test_good(self, text: str) -> None:
        assert Din(text).serial == text[14:]

    @pytest.mark.parametrize(
        "text",
        ["", "1707000-30-L", "1707000-30-L--TG1", f"{LEADER}\n", f"{LEADER}/../v1", LEADER.lower(), "é" * 24],
    )
    def test_bad(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a DIN"):
            Din(text)


class TestTheKey:
    """It signs the four reads, for 12 seconds, and shows itself to nobody."""

    @every_question
    def test_signs_a_read(self, question: Question) -> None:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding
        from tesla_protocol.energy_device.signed_message_pb2 import RoutableMessage

        from probe_exporter.tedapi.messages import envelope
        from probe_exporter.tedapi.signing import SigningKey

        signing = SigningKey(pem(key()))
        message = RoutableMessage.FromString(signing.request(question, Din(LEADER), queries(), NOW))
        assert message.protobuf_message_as_bytes == envelope(question, Din(LEADER), queries())
        until = message.signature_data.rsa_data.expires_at
        assert 12 <= until - NOW < 13
        signed = b"\x00\x01\x07\x01\x01\x07\x02\x1c" + LEADER.encode() + b"\x04\x04"
        signed += struct.pack(">I", until) + b"\xff" + message.protobuf_message_as_bytes
        signature = message.signature_data.rsa_data.signature
        key().public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA512())

    def test_has_no_other_use(self) -> None:
        from probe_exporter.tedapi.signing import SigningKey

        public = {name for name in dir(SigningKey(pem(key()))) if not name.startswith("_")}
        assert public == {"request"}

    def test_does_not_show_itself(self) -> None:
        from probe_exporter.tedapi.signing import SigningKey

        signing = SigningKey(pem(key()))
        assert "PRIVATE" not in repr(signing)
        assert str(key().private_numbers().d) not in repr(signing)
        with pytest.raises(TypeError):
            pickle.dumps(signing)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (b"", "does not hold a private key in PEM form"),
            (
                b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "does not hold a private key in PEM form",
            ),
        ],
    )
    def test_that_is_none(self, text: bytes, problem: str) -> None:
        from probe_exporter.tedapi.keys import rsa_key

        with pytest.raises(ValueError, match=problem):
            rsa_key(text)

    def test_of_another_kind(self) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        from probe_exporter.tedapi.keys import rsa_key

        private = ec.generate_private_key(ec.SECP256R1())
        formats = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
        with pytest.raises(ValueError, match="is not an RSA key"):
            rsa_key(private.private_bytes(*formats, serialization.NoEncryption()))
        locked = key().private_bytes(*formats, serialization.BestAvailableEncryption(b"secret"))
        with pytest.raises(ValueError, match="is encrypted"):
            rsa_key(locked)


class TestTheQueryFile:
    """Only the texts that this release knows are taken, whatever a file holds."""

    def test_of_the_installed_package(self) -> None:
        assert set(queries()) == {Question.CONTROLLER, Question.COMPONENTS}

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (lambda document: document.pop("components"), "holds no query components"),
            (lambda document: document["components"].update(text="mutation { x }"), "is not the one"),
            (lambda document: document["components"].update(code="xyz"), "is not hexadecimal"),
            (lambda document: document["device_controller_full"].update(code="00"), "is not the one"),
            (lambda document: document.update(components=[]), "holds no query components"),
        ],
    )
    def test_that_was_changed(self, tmp_path: Path, change, problem: str) -> None:  # type: ignore[no-untyped-def]
        path = installed_file()
        assert path is not None
        document = json.loads(path.read_text("utf-8"))
        change(document)
        file = tmp_path / "queries.json"
        file.write_text(json.dumps(document), "utf-8")
        with pytest.raises(ValueError, match=problem) as caught:
            load_queries(file)
        assert "pip install" in str(caught.value)

    @pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000])
    def test_that_is_none(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "queries.json"
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"V2024_06\.json"):
            load_queries(file)


class TestRequests:
    """How the two ways look on the wire."""

    def test_v1_carries_the_password_of_the_label(self) -> None:
        sent = wifi().request(Question.CONFIG, Din(LEADER), Din(LEADER), NOW)
        assert (sent.method, sent.path) == ("POST", "/tedapi/v1")
        assert sent.headers["Authorization"] == "Basic VGVzbGFfRW5lcmd5X0RldmljZTpBQkNERUZHSElKS0w="
        assert sent.headers["Content-Type"] == "application/octet-stream"

    def test_v1_asks_a_follower_under_its_own_path(self) -> None:
        sent = wifi().request(Question.COMPONENTS, Din(FOLLOWER), Din(LEADER), NOW)
        assert sent.path == f"/tedapi/device/{FOLLOWER}/v1"

    def test_v1r_carries_no_password(self) -> None:
        sent = lan().request(Question.CONFIG, Din(LEADER), Din(LEADER), NOW)
        assert (sent.method, sent.path) == ("POST", "/tedapi/v1r")
        assert set(sent.headers) == {"Content-Type"}


def answered(content: dict[str, object], question: Question = Question.CONFIG) -> bytes:
    """The envelope of an answer with a document in it."""
    from tesla_protocol.energy_device.transport_pb2 import MessageEnvelope

    reply = MessageEnvelope()
    if question is Question.CONFIG:
        reply.filestore.read_file_response.file.blob = json.dumps(content).encode()
    else:
        reply.graphql.query_response.status = 1
        reply.graphql.query_response.data = json.dumps(content)
    return bytes(reply.SerializeToString())


def wrapped(message: bytes) -> bytes:
    from probe_exporter.tedapi.messages import wrapped as outer

    return outer(message)


def signed(message: bytes = b"", fault: str = "") -> bytes:
    from tesla_protocol.energy_device import signed_message_pb2 as pb

    reply = pb.RoutableMessage(protobuf_message_as_bytes=message)
    if fault:
        reply.signed_message_status.CopyFrom(pb.MessageStatus(message_fault=f"MESSAGEFAULT_ERROR_{fault}"))
    return bytes(reply.SerializeToString())


class TestAnswers:
    """From bytes to documents, and every refusal with its cure."""

    @pytest.mark.parametrize("question", [Question.CONFIG, Question.CONTROLLER, Question.COMPONENTS])
    def test_document(self, question: Question) -> None:
        body = answered({"vin": "x", "number": 7}, question)
        expected = {"vin": "x", "number": 7.0, "din": LEADER}
        found = wifi().document(question, Din(LEADER), incoming(wrapped(body)))
        assert found == expected
        assert lan().document(question, Din(LEADER), incoming(signed(body))) == expected

    def test_system(self) -> None:
        from tesla_protocol.energy_device.transport_pb2 import MessageEnvelope

        reply = MessageEnvelope()
        info = reply.common.get_system_info_response
        info.firmware_version.version = "26.10.3 4f924de8"
        info.firmware_version.githash = b"\x4f\x92"
        info.system_update.update_status = 2
        info.system_update.total_bytes = 812_345_678
        found = wifi().document(Question.SYSTEM, Din(LEADER), incoming(wrapped(reply.SerializeToString())))
        assert found["version"] == "26.10.3 4f924de8"
        assert found["gitHash"] == "4f92"
        assert found["update"]["totalBytes"] == 812_345_678.0

    def test_every_cut_is_noticed(self) -> None:
        whole = wrapped(answered({"vin": LEADER}))
        message = len(whole) - 4
        for end in range(message):
            with pytest.raises(DecodeError):
                wifi().document(Question.CONFIG, Din(LEADER), incoming(whole[:end]))

    @given(body=st.binary(max_size=300))
    @settings(max_examples=150, deadline=None)
    def test_nonsense_is_an_error_of_the_tree(self, body: bytes) -> None:
        for question in Question:
            for channel, packed in (
                (wifi(), wrapped(body)),
                (lan(), signed(body)),
                (wifi(), body),
                (lan(), body),
            ):
                with pytest.raises(GatewayError):
                    channel.document(question, Din(LEADER), incoming(packed))

    @pytest.mark.parametrize("content", [b"[]", b"7", b"null", b'"text"', b"{", b"\xff"])
    def test_json_that_is_no_object(self, content: bytes) -> None:
        from tesla_protocol.energy_device.transport_pb2 import MessageEnvelope

        reply = MessageEnvelope()
        reply.filestore.read_file_response.file.blob = content
        with pytest.raises(DecodeError):
            wifi().document(Question.CONFIG, Din(LEADER), incoming(wrapped(reply.SerializeToString())))

    def test_an_answer_to_something_else(self) -> None:
        for question in (Question.SYSTEM, Question.CONTROLLER, Question.COMPONENTS):
            with pytest.raises(DecodeError):
                wifi().document(question, Din(LEADER), incoming(wrapped(answered({}))))

    @pytest.mark.parametrize(
        ("fault", "error", "cure"),
        [
            ("UNKNOWN_KEY_ID", UnknownKeyError, "register this one"),
            ("INACTIVE_KEY", UnknownKeyError, "register this one"),
            ("INVALID_SIGNATURE", RecipientError, "compare it with the label"),
            ("WRONG_PERSONALIZATION", RecipientError, "compare it with the label"),
            ("TIME_EXPIRED", ClockError, "the likely cause is this machine's clock"),
            ("TIME_TO_LIVE_TOO_LONG", ClockError, "set it by NTP"),
            ("BUSY", BusyError, "busy"),
            ("BAD_PARAMETER", QueryRefusedError, "BAD_PARAMETER"),
        ],
    )
    def test_faults_of_a_signed_message(self, fault: str, error: type[GatewayError], cure: str) -> None:
        with pytest.raises(error, match=cure):
            lan().document(Question.CONFIG, Din(LEADER), incoming(signed(fault=fault)))

    def test_a_clock_is_compared_with_the_gateways(self) -> None:
        with pytest.raises(ClockError, match="the gateway's clock is 95 s ahead of this machine's"):
            lan().document(
                Question.CONFIG,
                Din(LEADER),
                incoming(signed(fault="TIME_EXPIRED"), date=formatdate(NOW + 95.0, usegmt=True)),
            )

    def test_a_key_that_nobody_confirmed(self) -> None:
        from tesla_protocol.energy_device.transport_pb2 import MessageEnvelope

        reply = MessageEnvelope()
        reply.common.error_response.status.message = "v1r: client authorization not verified"
        with pytest.raises(KeyPendingError, match="switch one Powerwall off for 15 s"):
            lan().document(Question.CONFIG, Din(LEADER), incoming(signed(reply.SerializeToString())))

    def test_a_query_that_is_refused(self) -> None:
        from tesla_protocol.energy_device.transport_pb2 import MessageEnvelope

        reply = MessageEnvelope()
        reply.graphql.query_response.status = 3
        reply.graphql.query_response.errors.add(message="invalid signature")
        with pytest.raises(QueryRefusedError, match="refuses the query: invalid signature"):
            wifi().document(Question.COMPONENTS, Din(LEADER), incoming(wrapped(reply.SerializeToString())))

    @pytest.mark.parametrize(
        ("status", "error"),
        [(404, AbsentError), (429, RateLimitError), (503, BusyError), (500, StatusError), (302, StatusError)],
    )
    def test_statuses(self, status: int, error: type[GatewayError]) -> None:
        for channel in (wifi(), lan()):
            with pytest.raises(error):
                channel.document(Question.CONFIG, Din(LEADER), incoming(status=status))

    def test_a_refusal_says_what_to_check(self) -> None:
        body = b'{"code":403,"message":"User does not have adequate access rights"}'
        with pytest.raises(AuthError, match=r"adequate access rights.*whole password.*own Wi-Fi"):
            wifi().document(Question.CONFIG, Din(LEADER), incoming(body, 403))
        with pytest.raises(ForbiddenError, match=r"does not take signed requests"):
            lan().document(Question.CONFIG, Din(LEADER), incoming(body, 403))

    def test_retry_after(self) -> None:
        answer = incoming(status=503, **{"retry-after": "120"})
        with pytest.raises(BusyError) as caught:
            wifi().document(Question.CONFIG, Din(LEADER), answer)
        assert caught.value.retry_after == 120.0

    @pytest.mark.parametrize("body", [LEADER.encode(), f'"{LEADER}"\n'.encode()], ids=["plain", "quoted"])
    def test_din(self, body: bytes) -> None:
        assert wifi().din(incoming(body)) == Din(LEADER)

    @pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xff"])
    def test_no_din(self, body: bytes) -> None:
        with pytest.raises(DecodeError):
            wifi().din(incoming(body))

    def test_no_message_shows_the_password(self) -> None:
        for status in (401, 403, 404, 429, 500, 503):
            with pytest.raises(GatewayError) as caught:
                wifi().document(Question.CONFIG, Din(LEADER), incoming(status=status))
            assert PASSWORD not in str(caught.value)
        assert PASSWORD not in repr(wifi())


def test_nothing_is_imported_without_need() -> None:
    """The command line, the fleet and the catalogue start without the extra's packages."""
    program = (
        "import sys, probe_exporter.cli, probe_exporter.fleet, probe_exporter.probe, probe_exporter.metrics\n"
        "import probe_exporter.tedapi, probe_exporter.tedapi.queries\n"
        "print([name for name in sys.modules if name.startswith(('tesla_protocol', 'google.protobuf', 'pypowerwall'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
