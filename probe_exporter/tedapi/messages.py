"""The four reads as protobuf messages, and their answers as JSON documents.

Importing this module imports the message classes of the extra ``[tedapi]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from google.protobuf.message import DecodeError as ProtobufError
from tesla_protocol.energy_device import filestore_api_pb2, graphql_api_pb2, transport_pb2
from tesla_protocol.energy_device.transport_pb2 import MessageEnvelope

from probe_exporter.errors import DecodeError, GatewayError, KeyPendingError, QueryRefusedError
from probe_exporter.readings.payload import clean, decode
from probe_exporter.tedapi.queries import Query
from probe_exporter.tedapi.questions import Din, Question, variables

_CONFIG_FILE: Final = "config.json"
_WRAPPED: Final = b"\x0a"
_TAIL: Final = b"\x12\x02\x08\x01"
_NOT_CONFIRMED: Final = "not verified"


def envelope(question: Question, din: Din, queries: Mapping[Question, Query]) -> bytes:
    """The message that asks ``question`` of the device ``din``. KeyError for a query whose text is not at hand."""
    message = MessageEnvelope(delivery_channel=transport_pb2.DELIVERY_CHANNEL_LOCAL_HTTPS)
    message.sender.local = transport_pb2.LOCAL_PARTICIPANT_INSTALLER
    message.recipient.din = din.text
    if question is Question.SYSTEM:
        message.common.get_system_info_request.SetInParent()
    elif question is Question.CONFIG:
        message.filestore.read_file_request.domain = filestore_api_pb2.FILE_STORE_API_DOMAIN_CONFIG_JSON
        message.filestore.read_file_request.name = _CONFIG_FILE
    else:
        query = queries[question]
        signed = graphql_api_pb2.SignedGraphQLQuery(version=query.version, query=query.text)
        request = message.graphql.query_request
        request.format = graphql_api_pb2.GRAPH_QL_QUERY_FORMAT_SIGNED_SHA256_ECDSA_ASN1
        request.query = signed.SerializeToString()
        request.signature = query.signature
        request.variables_json.value = variables(question)
    data: bytes = message.SerializeToString()
    return data


def document(question: Question, din: Din, data: bytes) -> dict[str, object]:
    """Return the answer to ``question`` in the envelope ``data`` as JSON, with the requested ``din`` added.

    Raises DecodeError where it is not such an answer, and another GatewayError where it is a refusal.
    """
    try:
        answer = MessageEnvelope.FromString(data)
    except ProtobufError as error:
        raise DecodeError("the answer is not a protobuf message, or it is cut short") from error
    if answer.common.HasField("error_response"):
        raise refusal(answer.common.error_response.status.message)
    found = _ANSWERS[question](answer)
    if not isinstance(found, dict):
        raise DecodeError(f"the answer to {question.value} is not an object")
    return {**found, "din": din.text}


def refusal(words: str) -> GatewayError:
    """The error for a refusal that came as text, in the gateway's own words."""
    said = clean(words) or "no reason given"
    if _NOT_CONFIRMED in said:
        return KeyPendingError(
            "the gateway has the key, but the key is not confirmed yet: switch one Powerwall off for 15 s and on "
            f"again, within ten minutes of registering the key (the gateway's words: {said})"
        )
    return QueryRefusedError(f"the gateway refuses the message: {said}")


def _config(answer: MessageEnvelope) -> object:
    if not answer.filestore.HasField("read_file_response"):
        raise DecodeError("the answer does not hold config.json")
    return decode(answer.filestore.read_file_response.file.blob)


def _query(answer: MessageEnvelope) -> object:
    if not answer.graphql.HasField("query_response"):
        raise DecodeError("the answer does not hold what the query asked for")
    response = answer.graphql.query_response
    if not response.data:
        words = "; ".join(clean(error.message) for error in response.errors[:3])
        raise QueryRefusedError(
            f"the gateway refuses the query: {words or 'no reason given'}; a firmware that no longer takes this "
            "query text needs a newer release of this exporter"
        )
    return decode(response.data.encode("utf-8", "replace"))


def _system(answer: MessageEnvelope) -> object:
    if not answer.common.HasField("get_system_info_response"):
        raise DecodeError("the answer does not hold the system's information")
    info = answer.common.get_system_info_response
    update = info.system_update
    found: dict[str, object] = {
        "partNumber": info.device_id.part_number,
        "serialNumber": info.device_id.serial_number,
        "version": info.firmware_version.version,
        "gitHash": info.firmware_version.githash.hex(),
    }
    if info.HasField("system_update"):
        found["update"] = {
            "status": float(update.update_status),
            "handshakeResult": float(update.handshake_result),
            "totalBytes": float(update.total_bytes),
            "bytesOffset": float(update.bytes_offset),
            "estimatedBytesPerSecond": float(update.estimated_bytes_per_second),
            "lastHandshakeTimestamp": float(update.last_handshake_timestamp),
            "stagedVersion": update.server_staged_version.version,
        }
    return found


_ANSWERS: Final[dict[Question, Callable[[MessageEnvelope], object]]] = {
    Question.CONFIG: _config,
    Question.SYSTEM: _system,
    Question.CONTROLLER: _query,
    Question.COMPONENTS: _query,
}


def wrapped(message: bytes) -> bytes:
    """A message as v1 sends it: in field 1 of an outer message whose field 2 holds {1: 1}."""
    return _WRAPPED + _varint(len(message)) + message + _TAIL


def unwrapped(data: bytes) -> bytes:
    """The message in an answer of v1. Raises DecodeError where there is none, or not all of it."""
    if not data.startswith(_WRAPPED):
        raise DecodeError("the answer is not a TEDAPI message")
    length = shift = 0
    for place in range(1, min(len(data), 6)):
        length |= (data[place] & 0x7F) << shift
        shift += 7
        if data[place] < 0x80:
            message = data[place + 1 : place + 1 + length]
            if len(message) == length:
                return message
            break
    raise DecodeError("the TEDAPI message is cut short")


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
