"""TEDAPI of a simulated gateway: v1 with the gateway's password, v1r with registered keys, over its real TLS port.

Needs the extra ``[tedapi]``. It checks what a gateway checks: password, key, DIN, expiry, and the texts of queries.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import re
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.protobuf.message import DecodeError as ProtobufError
from tesla_protocol.energy_device import graphql_api_pb2, signed_message_pb2
from tesla_protocol.energy_device.transport_pb2 import MessageEnvelope

from probe_exporter.simulator import tedapi_documents as documents
from probe_exporter.simulator.messages import ClientRequest
from probe_exporter.simulator.moment import Moment
from probe_exporter.simulator.sessions import FORBIDDEN
from probe_exporter.simulator.system import NOT_FOUND, TEXT_TYPE, SimulatedAnswer, refusal
from probe_exporter.tedapi.queries import DIGESTS
from probe_exporter.tedapi.questions import Question

OCTETS: Final = "application/octet-stream"
PREFIX: Final = "/tedapi/"
GATEWAY_PASSWORD: Final = "SIMULATEDPASSWORD"
LONGEST_LIFE: Final = 60
"""Seconds that a message may be good for at most; an assumption, no gateway was measured."""

_USER: Final = "Tesla_Energy_Device"
_FOLLOWER: Final = re.compile(r"/tedapi/device/([^/]+)/v1")
_STAND_IN: Final = re.compile(r"scrubbed-([0-9]{1,6})")
_BUSY: Final = refusal(503, "current config mode is busy", "Service Unavailable")
_TEXTS: Final = {
    DIGESTS[Question.CONTROLLER]: "controller",
    DIGESTS[Question.COMPONENTS]: "components",
    "34ff477c9ba79b19fff6b76877855ce7c3dcbec6867b00e07602ae3ff8109a6b": "controller",
}
"""SHA-256 of signature and text of the queries that are answered, and which document they ask for."""

_TYPES: Final = frozenset(
    "PVS PVAC TESYNC TEPINV TETHC STSTSM TEMSA TEPOD PW3BMS PW3SAF PCH PW3HVP BAGGR".split()
)
"""The component types that exist; any other one fails a whole query."""

Key = Literal["verified", "pending"]


class TedapiSource(Protocol):
    """The source of the documents."""

    @property
    def dins(self) -> tuple[str, ...]:
        """The DIN of the leader, then those of its followers."""
        ...

    def document(self, kind: str, din: str, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """``config``, ``system``, ``controller`` or ``components`` of one unit; None where there is none."""
        ...


class LivingSource:
    """The documents of a living Powerwall 3."""

    def __init__(self, site: Living) -> None:
        self._site = site

    @property
    def dins(self) -> tuple[str, ...]:
        """As `TedapiSource.dins`."""
        return tuple(unit.din for unit in documents.units(self._site.moment()))

    def document(self, kind: str, din: str, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """As `TedapiSource.document`; a follower answers for its components alone."""
        moment = self._site.moment()
        unit = next((unit for unit in documents.units(moment) if unit.din == din), None)
        if unit is None or (unit.index and kind != "components"):
            return None
        if kind == "components":
            names = {key.removesuffix("SignalNames"): value for key, value in variables.items()}
            return documents.components(moment, unit, names)
        if kind == "controller":
            return documents.controller(moment, variables.get("msaSignals", ()))
        return documents.config(moment) if kind == "config" else documents.system(moment)


class RecordedSource:
    """The documents of a recording, by ``config``, ``system``, ``controller``, ``components`` and ``components/<din>``.

    A record has stand-ins for serials, which are given the form that serials have.
    """

    def __init__(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        text = _STAND_IN.sub(lambda match: f"SCRUBBED{int(match[1]):04d}", json.dumps(found))
        self._documents: dict[str, dict[str, Any]] = json.loads(text)
        followers = [name.partition("/")[2] for name in self._documents if "/" in name]
        leader = self._documents.get("config", {}).get("vin") or self._documents["components"]["din"]
        self._dins = (str(leader), *followers)

    @property
    def dins(self) -> tuple[str, ...]:
        """As `TedapiSource.dins`."""
        return self._dins

    def document(self, kind: str, din: str, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        """As `TedapiSource.document`; all signals that were recorded, whichever are asked for."""
        return self._documents.get(kind if din == self._dins[0] else f"{kind}/{din}")


def recorded_source(answers: Mapping[str, SimulatedAnswer]) -> RecordedSource | None:
    """The source in a recorded system's answers; None where it holds nothing of TEDAPI."""
    found = {}
    for name, answer in answers.items():
        if name.startswith(("tedapi/", "tedapi_")) and answer.status == 200:
            found[name[len("tedapi/") :]] = json.loads(answer.body)
    return RecordedSource(found) if found.keys() & {"config", "components"} else None


class Living(Protocol):
    """A living site, as far as it is needed here."""

    def moment(self) -> Moment:
        """All facts of now."""
        ...


@dataclass(slots=True)
class Tedapi:
    """The interface. ``keys`` are those that were registered, PKCS #1 DER; switches may be changed at any time."""

    source: TedapiSource
    password: str = GATEWAY_PASSWORD
    keys: dict[bytes, Key] = field(default_factory=dict)
    compressed: bool = False
    busy: bool = False
    delay: float = 0.0
    clock_offset: float = 0.0
    now: Callable[[], float] = time.time
    private_key: rsa.RSAPrivateKey | None = None
    """A key that was made here and is registered; None where nobody asked for one."""
    asked: list[str] = field(default_factory=list)
    """The documents that were asked, ``config`` and so on, followed by ``/`` and the DIN for a follower."""

    def register(self, key: rsa.RSAPublicKey, state: Key = "verified") -> None:
        """Register a public key, as its owner does with Tesla; ``verified`` once a Powerwall was switched."""
        self.keys[key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)] = state

    def make_key(self) -> bytes:
        """A new key, registered and confirmed, as PEM. Of 2048 bits: Tesla's 4096 take seconds to make."""
        self.private_key = rsa.generate_private_key(65537, 2048)
        self.register(self.private_key.public_key())
        return self.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def play(self, fault: str) -> None:
        """Put one of `TEDAPI_FAULTS` in force. Raises KeyError for another one."""
        TEDAPI_FAULTS[fault][1](self)

    def answer(self, request: ClientRequest, owner: bool) -> SimulatedAnswer:
        """The answer to a request below ``/tedapi/``; ``owner`` says that it carries a session of the owner."""
        if self.busy:
            return _BUSY
        found = self._answer(request, owner)
        if found.status == 200 and self.compressed:
            found = replace(found, body=gzip.compress(found.body, mtime=0))
        return replace(found, delay=self.delay)

    def _answer(self, request: ClientRequest, owner: bool) -> SimulatedAnswer:
        path = request.path.partition("?")[0]
        if path == "/tedapi/din" and request.method == "GET":
            known = owner or self._knows(request)
            return SimulatedAnswer(200, self.source.dins[0].encode(), TEXT_TYPE) if known else FORBIDDEN
        if request.method != "POST":
            return NOT_FOUND
        if path == "/tedapi/v1r":
            return self._signed(request.body)
        follower = _FOLLOWER.fullmatch(path)
        if path != "/tedapi/v1" and follower is None:
            return NOT_FOUND
        if not self._knows(request):
            return FORBIDDEN
        return self._plain(request.body, follower[1] if follower else self.source.dins[0])

    def _knows(self, request: ClientRequest) -> bool:
        right = base64.b64encode(f"{_USER}:{self.password}".encode()).decode("ascii")
        return hmac.compare_digest(request.headers.get("authorization", ""), f"Basic {right}")

    def _plain(self, body: bytes, din: str) -> SimulatedAnswer:
        try:
            asked = MessageEnvelope.FromString(_field_one(body))
        except (ProtobufError, ValueError):
            return refusal(400, "bad request", "cannot parse the message")
        reply = self._reply(asked, din).SerializeToString()
        return SimulatedAnswer(200, _wrapped(reply), OCTETS)

    def _signed(self, body: bytes) -> SimulatedAnswer:
        try:
            message = signed_message_pb2.RoutableMessage.FromString(body)
        except ProtobufError:
            return refusal(400, "bad request", "cannot parse the message")
        out = signed_message_pb2.RoutableMessage(request_uuid=message.uuid)
        out.from_destination.domain = signed_message_pb2.DOMAIN_ENERGY_DEVICE
        fault = self._fault(message)
        if fault:
            status = signed_message_pb2.MessageStatus(message_fault=f"MESSAGEFAULT_ERROR_{fault}")
            out.signed_message_status.CopyFrom(status)
        elif self.keys[message.signature_data.signer_identity.public_key] == "pending":
            out.protobuf_message_as_bytes = _error(
                "v1r: client authorization not verified"
            ).SerializeToString()
        else:
            asked = MessageEnvelope.FromString(message.protobuf_message_as_bytes)
            out.protobuf_message_as_bytes = self._reply(asked, self.source.dins[0]).SerializeToString()
        return SimulatedAnswer(200, out.SerializeToString(), OCTETS)

    def _fault(self, message: signed_message_pb2.RoutableMessage) -> str | None:
        """The fault of a signed message; None where all is well."""
        der = message.signature_data.signer_identity.public_key
        signature = message.signature_data.rsa_data
        if der not in self.keys:
            return "UNKNOWN_KEY_ID"
        now = self.now() + self.clock_offset
        if signature.expires_at < now:
            return "TIME_EXPIRED"
        if signature.expires_at > now + LONGEST_LIFE:
            return "TIME_TO_LIVE_TOO_LONG"
        din = self.source.dins[0].encode()
        signed = b"\x00\x01\x07\x01\x01\x07\x02" + bytes([len(din)]) + din
        signed += b"\x04\x04" + struct.pack(">I", signature.expires_at)
        signed += b"\xff" + message.protobuf_message_as_bytes
        key = serialization.load_der_public_key(der)
        try:
            assert isinstance(key, rsa.RSAPublicKey)
            key.verify(signature.signature, signed, padding.PKCS1v15(), hashes.SHA512())
        except InvalidSignature:
            return "INVALID_SIGNATURE"
        return None

    def _reply(self, asked: MessageEnvelope, din: str) -> MessageEnvelope:
        reply = self._content(asked, din)
        reply.delivery_channel = asked.delivery_channel
        reply.sender.din = din
        reply.recipient.CopyFrom(asked.sender)
        return reply

    def _content(self, asked: MessageEnvelope, din: str) -> MessageEnvelope:
        if asked.recipient.din != din:
            return _error("the message is for another device")
        reply = MessageEnvelope()
        if asked.filestore.read_file_request.name == "config.json":
            found = self._document("config", din, {})
            if found is not None:
                blob = json.dumps(found).encode()
                reply.filestore.read_file_response.file.name = "config.json"
                reply.filestore.read_file_response.file.blob = blob
                reply.filestore.read_file_response.hash = hashlib.sha256(blob).digest()
                return reply
        elif asked.common.HasField("get_system_info_request"):
            found = self._document("system", din, {})
            if found is not None:
                return _system(reply, din, found)
        elif asked.graphql.HasField("query_request"):
            return self._query(reply, din, asked.graphql.query_request)
        return _error("unimplemented")

    def _document(self, kind: str, din: str, variables: Mapping[str, Any]) -> dict[str, Any] | None:
        self.asked.append(kind if din == self.source.dins[0] else f"{kind}/{din}")
        return self.source.document(kind, din, variables)

    def _query(
        self, reply: MessageEnvelope, din: str, request: graphql_api_pb2.GraphQLAPIQueryRequest
    ) -> MessageEnvelope:
        response = reply.graphql.query_response
        text = graphql_api_pb2.SignedGraphQLQuery.FromString(request.query).query
        kind = _TEXTS.get(hashlib.sha256(request.signature + text).hexdigest())
        if kind is None:
            response.status = graphql_api_pb2.GRAPH_QL_STATUS_ERROR_FULL
            response.errors.add(
                code=graphql_api_pb2.GRAPH_QL_ERROR_CODE_UNAUTHORIZED, message="invalid signature"
            )
            return reply
        variables = json.loads(request.variables_json.value or "{}")
        wrong = sorted(set(_asked_types(variables)) - _TYPES)
        found = None if wrong else self._document(kind, din, variables)
        if found is None:
            response.status = graphql_api_pb2.GRAPH_QL_STATUS_ERROR_FULL
            response.errors.add(message=f"invalid component type {wrong[0]}" if wrong else "no such device")
            return reply
        response.status = graphql_api_pb2.GRAPH_QL_STATUS_SUCCESS
        response.data = json.dumps(found)
        return reply


def _all_pending(tedapi: Tedapi) -> None:
    tedapi.keys = dict.fromkeys(tedapi.keys, "pending")


def _none_known(tedapi: Tedapi) -> None:
    tedapi.keys = {}


def _busy(tedapi: Tedapi) -> None:
    tedapi.busy = True


def _compressed(tedapi: Tedapi) -> None:
    tedapi.compressed = True


def _slow(tedapi: Tedapi) -> None:
    tedapi.delay = 9.0


TEDAPI_FAULTS: Final[dict[str, tuple[str, Callable[[Tedapi], None]]]] = {
    "tedapi_key_pending": (
        "nobody has switched a Powerwall off and on since the key was registered",
        _all_pending,
    ),
    "tedapi_key_unknown": ("the key is not registered for this site", _none_known),
    "tedapi_busy": ("503 to everything of TEDAPI", _busy),
    "tedapi_gzip": ("answers of TEDAPI are gzip, unasked and unsaid", _compressed),
    "tedapi_slow": ("every answer of TEDAPI takes 9 seconds", _slow),
}
"""Faults of TEDAPI alone, beside those of the wire that strike its paths too."""


def _asked_types(variables: Mapping[str, Any]) -> Iterable[str]:
    for value in variables.values():
        if isinstance(value, dict):
            yield from value.get("types", ())


def _system(reply: MessageEnvelope, din: str, found: Mapping[str, Any]) -> MessageEnvelope:
    info = reply.common.get_system_info_response
    info.din = din
    info.device_id.part_number = found["partNumber"]
    info.device_id.serial_number = found["serialNumber"]
    info.firmware_version.version = found["version"]
    info.firmware_version.githash = bytes.fromhex(found["gitHash"])
    update = found.get("update")
    if update is not None:
        to = info.system_update
        to.update_status = int(update.get("status", 0))
        to.handshake_result = int(update.get("handshakeResult", 0))
        to.total_bytes = int(update.get("totalBytes", 0))
        to.bytes_offset = int(update.get("bytesOffset", 0))
        to.estimated_bytes_per_second = int(update.get("estimatedBytesPerSecond", 0))
        to.last_handshake_timestamp = int(update.get("lastHandshakeTimestamp", 0))
        to.server_staged_version.version = update.get("stagedVersion", "")
    return reply


def _error(words: str) -> MessageEnvelope:
    reply = MessageEnvelope()
    reply.common.error_response.status.code = 12
    reply.common.error_response.status.message = words
    return reply


def _field_one(body: bytes) -> bytes:
    """Return the contents of field 1 of an outer message. Raises ValueError where it is not whole."""
    length = shift = 0
    for place, octet in enumerate(body[1:6], 1):
        length |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80:
            start = place + 1
            if body[:1] == b"\x0a" and start + length <= len(body):
                return body[start : start + length]
            break
    raise ValueError("not the outer message")


def _wrapped(message: bytes) -> bytes:
    """Field 1 of an outer message, and {1: 1} in field 2."""
    length, octets = len(message), bytearray()
    while length > 0x7F:
        octets.append(length & 0x7F | 0x80)
        length >>= 7
    return b"\x0a" + bytes(octets) + bytes([length]) + message + b"\x12\x02\x08\x01"
