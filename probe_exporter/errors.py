"""Everything that can go wrong, as one tree.

ProbeExporterError
├── ConfigurationError      the configuration cannot be used; carries every mistake found
├── UnknownTargetError      a target that is not configured
├── UnknownModuleError      a module that is not configured
└── GatewayError            one gateway did not answer as it should; every leaf has a ``reason``
    ├── ConnectError        connect        no TCP connection, reset, cut short
    │   └── NoThreadError   connect        this system allows no thread in which to connect
    ├── DeadlineError       timeout        connected, but no whole answer in time
    ├── TlsError            tls            the handshake failed
    │   └── PinError        tls            another certificate than the pinned one
    ├── AuthError           auth           401, 403
    │   ├── ForbiddenError  auth           403 to a fresh session: not for an owner
    │   ├── KeyPendingError auth           TEDAPI: a registered key that is not confirmed yet
    │   ├── UnknownKeyError auth           TEDAPI: a key that is not registered
    │   ├── RecipientError  auth           TEDAPI: signed for another gateway
    │   ├── ClockError      auth           TEDAPI: the clocks differ too much for a signature
    │   └── LoginRestError  (the cause's)  no login now: an earlier one failed or was a moment ago
    ├── RateLimitError      rate_limited   429
    ├── BusyError           busy           503
    ├── StatusError         http           any other status, redirects included
    │   └── AbsentError     http           404: this gateway has no such endpoint
    └── DecodeError         decode         not JSON, encoded, over the size limit, no token
        └── QueryRefusedError  decode      TEDAPI: a message that the gateway does not accept

The ``reason`` is the word that metrics and logs show; ``REASONS`` lists them in the order of the contract.
Messages name the target and the endpoint where they are known, and never carry a secret.
"""

from __future__ import annotations

from dataclasses import dataclass

REASONS = ("connect", "timeout", "tls", "auth", "rate_limited", "busy", "http", "decode")


class ProbeExporterError(Exception):
    """The root of the tree: catch it to catch all that this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in a configuration: its place and its description, without the offending value.

    ``line`` counts from 1 and is None where a mistake belongs to no line.
    """

    file: str
    line: int | None
    path: str
    problem: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.problem}" if self.path else f"{place}: {self.problem}"


class ConfigurationError(ProbeExporterError):
    """The configuration cannot be used. ``mistakes`` holds all of them, in file order."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


class UnknownTargetError(ProbeExporterError):
    """The target is not a configured gateway."""


class UnknownModuleError(ProbeExporterError):
    """The module is not configured."""


class GatewayError(ProbeExporterError):
    """A gateway did not answer as it should."""

    reason: str

    def as_value(self) -> GatewayError:
        """Return this error to be kept, not raised: without its cause and the frames that it came through.

        Those refer back to it, and with them dead connections would wait for the garbage collector.
        """
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


class ConnectError(GatewayError):
    """No TCP connection, or one that was reset or cut short."""

    reason = "connect"


class NoThreadError(ConnectError):
    """This system allows no further thread, and so no connection can be made."""


class DeadlineError(GatewayError):
    """Connected, but no whole answer came in time."""

    reason = "timeout"


class TlsError(GatewayError):
    """The TLS handshake failed or took too long."""

    reason = "tls"


class PinError(TlsError):
    """The gateway shows another certificate than the pinned one, or the pin is not there yet."""


class AuthError(GatewayError):
    """401 or 403: the session or the password was refused."""

    reason = "auth"


class ForbiddenError(AuthError):
    """403 although the session is fresh: the owner's role may not read this endpoint."""


class KeyPendingError(AuthError):
    """TEDAPI: the key is registered, but its owner has not switched a Powerwall off and on yet."""


class UnknownKeyError(AuthError):
    """TEDAPI: the key is not registered for this site, or was removed."""


class RecipientError(AuthError):
    """TEDAPI: the message was signed for another gateway than the one that answered."""


class ClockError(AuthError):
    """TEDAPI: the signature is expired or too early by the gateway's clock."""


class LoginRestError(AuthError):
    """No login is tried now: an earlier one failed, or was less than a minute ago. The message says for how long.

    ``reason`` is that of the failure, where there was one: a login that was cut short does not mean a wrong password.
    """

    def __init__(self, message: str, reason: str = AuthError.reason) -> None:
        super().__init__(message)
        self.reason = reason


class RateLimitError(GatewayError):
    """429: the gateway limits the rate of requests. ``retry_after`` is in seconds, None if the answer has none."""

    reason = "rate_limited"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BusyError(GatewayError):
    """503: the gateway is busy. ``retry_after`` is in seconds, None if the answer has none."""

    reason = "busy"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StatusError(GatewayError):
    """Any other status than 200, redirects included. ``status`` is the HTTP status."""

    reason = "http"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AbsentError(StatusError):
    """404: this gateway, with this firmware, has no such endpoint."""


class DecodeError(GatewayError):
    """The answer is not JSON, is encoded or too long, or a login answer has no token."""

    reason = "decode"


class QueryRefusedError(DecodeError):
    """TEDAPI: the gateway does not accept the message, or not this text of a query."""
