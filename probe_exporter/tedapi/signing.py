"""The registered key of an owner, and the one thing it signs: a read of the table, for one device, for 12 seconds.

A key that Tesla has registered can also change settings of a Powerwall. So the private key never leaves this module in
any form, and it cannot sign arbitrary bytes: `SigningKey.request` builds what it signs.
"""

from __future__ import annotations

import math
import struct
import uuid
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from tesla_protocol.energy_device import signed_message_pb2

from probe_exporter.tedapi.keys import rsa_key
from probe_exporter.tedapi.messages import envelope
from probe_exporter.tedapi.queries import Query
from probe_exporter.tedapi.questions import Din, Question

LIFE: Final = 12
"""Seconds for which a signed message is good."""


class SigningKey:
    """An RSA key. ValueError, with a sentence that says what to do, for PEM text that does not hold one."""

    __slots__ = ("__key", "_public")

    def __init__(self, pem: bytes) -> None:
        self.__key = rsa_key(pem)
        self._public = self.__key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.PKCS1
        )

    def request(self, question: Question, din: Din, queries: Mapping[Question, Query], now: float) -> bytes:
        """The signed message that asks ``question`` of ``din``; ``now`` is Unix seconds. KeyError as `envelope`."""
        asked = envelope(question, din, queries)
        expires_at = math.ceil(now) + LIFE
        message = signed_message_pb2.RoutableMessage(protobuf_message_as_bytes=asked, uuid=uuid.uuid4().bytes)
        message.to_destination.domain = signed_message_pb2.DOMAIN_ENERGY_DEVICE
        message.signature_data.signer_identity.public_key = self._public
        message.signature_data.rsa_data.expires_at = expires_at
        message.signature_data.rsa_data.signature = self.__key.sign(
            _signed_bytes(asked, din, expires_at), padding.PKCS1v15(), hashes.SHA512()
        )
        data: bytes = message.SerializeToString()
        return data


def _signed_bytes(asked: bytes, din: Din, expires_at: int) -> bytes:
    """The bytes that the signature covers: tags with one octet of length each, an end mark, and the message."""
    kind, domain = signed_message_pb2.SIGNATURE_TYPE_RSA, signed_message_pb2.DOMAIN_ENERGY_DEVICE
    fields = (
        (signed_message_pb2.TAG_SIGNATURE_TYPE, bytes([kind])),
        (signed_message_pb2.TAG_DOMAIN, bytes([domain])),
        (signed_message_pb2.TAG_PERSONALIZATION, din.text.encode("ascii")),
        (signed_message_pb2.TAG_EXPIRES_AT, struct.pack(">I", expires_at)),
    )
    head = b"".join(bytes([tag, len(value)]) + value for tag, value in fields)
    return head + bytes([signed_message_pb2.TAG_END]) + asked
