"""TLS, passwords and headers of the exporter's own port: a file in the format of Prometheus' exporter-toolkit.

The README lists the supported parts of that format. One thing differs on purpose: an empty file is a mistake, as a
power cut leaves one behind; ``{}`` makes a port that is open to all.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from probe_exporter.config.sources import Files, Notes, Place, open_source, said
from probe_exporter.config.typed_yaml import Value
from probe_exporter.errors import ConfigurationError

CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
SUITES: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}
"""Go's names of the cipher suites of TLS 1.2, and OpenSSL's."""

SUITES_OF_TLS13: Final = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
"""Always offered, as in Go."""

HEADERS: Final = {
    "Content-Security-Policy": None,
    "Strict-Transport-Security": None,
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": None,
}
"""The headers that may be configured, and their values where there are but a few."""

_SECTIONS: Final = {
    "tls_server_config": {
        *("cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version", "max_version"),
        *("cipher_suites", "prefer_server_cipher_suites"),
    },
    "http_server_config": {"http2", "headers"},
    "basic_auth_users": None,
}
_BCRYPT: Final = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """``client_auth`` is the word of the file."""

    context: ssl.SSLContext
    client_auth: str


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The contents of the file. ``users`` have bcrypt hashes; None where the file has no such section.

    ``headers`` are those of every answer, their names in lower case.
    """

    tls: TlsSettings | None = None
    users: dict[str, bytes] | None = None
    headers: dict[bytes, bytes] = field(default_factory=dict)


class WebConfigFile:
    """The file and those that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = Files()
        self._notes = Notes()

    def changed(self) -> bool:
        """Return True if one of the files is another one than when it was last read."""
        return self._files.changed()

    def read(self) -> WebSettings:
        """The settings. Raises ConfigurationError with every mistake."""
        self._files.clear()
        self._notes = Notes()
        source = open_source(self.path, 0, self._notes, self._files, None)
        settings = WebSettings()
        if source is not None:
            settings = self._settings(Place(source), source.root)
        mistakes = self._notes.ordered()
        if mistakes:
            raise ConfigurationError(mistakes)
        return settings

    def _settings(self, place: Place, root: Value) -> WebSettings:
        if root == "":
            self._notes.add(place, "is empty; write {} for a port without TLS and passwords")
        elif not isinstance(root, dict):
            self._notes.add(place, "must be a mapping")
        else:
            found = {
                key: self._section(place.below(key), given, _SECTIONS[key])
                for key, given in (self._section(place, root, set(_SECTIONS)) or {}).items()
            }
            return WebSettings(
                self._tls(place.below("tls_server_config"), found.get("tls_server_config")),
                self._users(place.below("basic_auth_users"), found.get("basic_auth_users")),
                self._http(place.below("http_server_config"), found.get("http_server_config")),
            )
        return WebSettings()

    def _section(self, place: Place, given: Value, known: set[str] | None) -> dict[str, Value] | None:
        """A mapping, and a mistake for each key in it that is not known; None where it is not a mapping."""
        if not isinstance(given, dict):
            empty = "is empty; write {} where that is meant, or remove the line"
            self._notes.add(place, empty if given == "" else "must be a mapping")
            return None
        taken = {key: value for key, value in given.items() if known is None or key in known}
        for key in given.keys() - taken.keys():
            what = ", ".join(sorted(known or ()))
            self._notes.add(place.below(key), f"is not supported here; {what} are")
        return taken

    # Users and headers

    def _users(self, place: Place, given: dict[str, Value] | None) -> dict[str, bytes] | None:
        if given is None:
            return None
        for user, stored in given.items():
            if not isinstance(stored, str) or not _BCRYPT.fullmatch(stored):
                self._notes.add(place.below(user), "must be a bcrypt hash; htpasswd -nBC 10 makes one")
        if given:
            try:
                import bcrypt  # noqa: F401
            except ImportError:
                self._notes.add(
                    place, "needs the package bcrypt in the environment of the exporter: pip install bcrypt"
                )
        return {user: str(stored).encode("ascii", "replace") for user, stored in given.items()}

    def _http(self, place: Place, given: dict[str, Value] | None) -> dict[bytes, bytes]:
        if given is None:
            return {}
        if given.get("http2", "false") != "false":
            self._notes.add(place.below("http2"), "is not offered here; write false, or remove the line")
        if "headers" not in given:
            return {}
        place = place.below("headers")
        headers = {}
        for name, value in (self._section(place, given["headers"], set(HEADERS)) or {}).items():
            values = HEADERS[name]
            if value == "":
                continue
            if values is not None and value not in values:
                self._notes.add(place.below(name), f"must be {' or '.join(values)}")
            elif not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
                self._notes.add(place.below(name), "must be one line of ASCII text")
            else:
                headers[name.lower().encode("ascii")] = value.encode("ascii")
        return headers

    # TLS

    def _tls(self, place: Place, given: dict[str, Value] | None) -> TlsSettings | None:
        if given is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client_auth = self._word(place, given, "client_auth_type", "NoClientCert", CLIENT_AUTH)
        self._versions(place, given, context)
        self._suites(place, given, context)
        self._pair(place, given, context)
        self._authorities(place, given, context, client_auth)
        if client_auth is not None:
            context.verify_mode = CLIENT_AUTH[client_auth]
        return TlsSettings(context, client_auth or "")

    def _word(
        self, place: Place, given: dict[str, Value], key: str, default: str, known: dict[str, Any]
    ) -> str | None:
        value = given.get(key, default)
        if isinstance(value, str) and value in known:
            return value
        self._notes.add(place.below(key), f"must be one of {', '.join(known)}")
        return None

    def _versions(self, place: Place, given: dict[str, Value], context: ssl.SSLContext) -> None:
        least = self._word(place, given, "min_version", "TLS12", VERSIONS)
        most = self._word(place, given, "max_version", "TLS13", VERSIONS)
        if least is None or most is None:
            return
        if VERSIONS[least] > VERSIONS[most]:
            self._notes.add(place.below("min_version"), "must not be above max_version")
            return
        context.minimum_version, context.maximum_version = VERSIONS[least], VERSIONS[most]

    def _suites(self, place: Place, given: dict[str, Value], context: ssl.SSLContext) -> None:
        if (
            self._word(place, given, "prefer_server_cipher_suites", "true", {"true": True, "false": False})
            == "false"
        ):
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        names = given.get("cipher_suites")
        place = place.below("cipher_suites")
        if names is None:
            return
        if not isinstance(names, list):
            self._notes.add(place, "must be a list")
            return
        for number, name in enumerate(names):
            if not isinstance(name, str) or name not in SUITES.keys() | SUITES_OF_TLS13:
                self._notes.add(
                    place.below(number), "is not a cipher suite of this port; the README lists them"
                )
                return
        chosen = [SUITES[name] for name in names if isinstance(name, str) and name in SUITES]
        try:
            if chosen:
                context.set_ciphers(":".join(chosen))
            elif names:
                context.minimum_version = ssl.TLSVersion.TLSv1_3
        except ssl.SSLError:
            self._notes.add(place, "has no suite that this system's OpenSSL offers")

    def _file_of(
        self, place: Place, given: dict[str, Value], key: str, why: str = "is missing"
    ) -> Path | None:
        """The file that a key names, its state recorded before it is read."""
        name = given.get(key)
        if not isinstance(name, str) or not name:
            self._notes.add(place.below(key), why)
            return None
        path = place.locate(name)
        self._files.reading(path)
        return path

    def _pair(self, place: Place, given: dict[str, Value], context: ssl.SSLContext) -> None:
        certificate, key = (self._file_of(place, given, name) for name in ("cert_file", "key_file"))
        if certificate is None or key is None:
            return
        try:
            context.load_cert_chain(
                certificate, key, password=""
            )  # otherwise OpenSSL would ask for it on the terminal
        except ssl.SSLError as error:
            reason = (error.reason or "not a PEM file").replace("_", " ").lower()
            self._notes.add(place, f"cert_file and key_file cannot be used: {reason}")
        except OSError as error:
            self._notes.add(place, f"cert_file and key_file cannot be used: {said(error)}")

    def _authorities(
        self, place: Place, given: dict[str, Value], context: ssl.SSLContext, client_auth: str | None
    ) -> None:
        needed = client_auth == "RequireAndVerifyClientCert"
        if not needed and "client_ca_file" not in given:
            return
        if client_auth == "NoClientCert":
            self._notes.add(
                place.below("client_auth_type"),
                "must be RequireAndVerifyClientCert where client_ca_file is given; otherwise no client is checked",
            )
        path = self._file_of(
            place, given, "client_ca_file", "is missing; client certificates are checked only against it"
        )
        if path is None:
            return
        try:
            context.load_verify_locations(cadata=path.read_bytes().decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError):
            self._notes.add(place, "client_ca_file holds no certificate")
        except OSError as error:
            self._notes.add(place, f"client_ca_file cannot be read: {said(error)}")
