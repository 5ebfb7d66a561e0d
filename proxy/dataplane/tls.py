"""TLS on either side: what PEM texts become, and how a certificate is renewed while connections
run.

The files are read and proved once, by whoever starts or reloads the workers; these get the texts.
So all workers have the same, and a worker that must be replaced does not depend on what happens to
lie in the files by then. Knows nothing of HTTP but its name in ALPN.
"""

import contextlib
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.config import Config
from proxy.errors import ConfigError

PEM_BYTES_MAX = 512 * 1024
"""Twice the bundle of a whole operating system; the line to a worker takes one MiB."""
ALPN = ("http/1.1",)
_OLDEST = ssl.TLSVersion.TLSv1_2


@dataclass(frozen=True, slots=True)
class Pem:
    """The texts: chain and key for the data port, authorities for the upstream. Empty means none,
    and for ``upstream_ca`` the system's.
    """

    certificate: str = ""
    key: str = ""
    upstream_ca: str = ""

    def __repr__(self) -> str:
        """A key belongs in no log."""
        return "Pem(…)"


NO_PEM = Pem()


def read_pem(config: Config) -> Pem:
    """Read and prove the files that the settings name. ``ConfigError`` names the setting and its
    fix.
    """
    listen, upstream = config.listen, config.upstream
    if listen.tls_key and not listen.tls_certificate:
        raise ConfigError(
            "listen.tls_key is set without listen.tls_certificate; name the file with the"
            " certificate chain too"
        )
    key_file = listen.tls_key or listen.tls_certificate
    pem = Pem(
        _read("listen.tls_certificate", listen.tls_certificate),
        _read("listen.tls_key" if listen.tls_key else "listen.tls_certificate", key_file),
        _read("upstream.ca_file", upstream.ca_file),
    )
    if listen.tls_certificate:
        _prove_pair(pem, listen.tls_certificate, key_file)
    if upstream.ca_file:
        _prove_authorities(pem.upstream_ca, upstream.ca_file)
    return pem


def _read(setting: str, file: str) -> str:
    if not file:
        return ""
    try:
        with Path(file).open("rb") as source:
            data = source.read(PEM_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"{setting} {file}: cannot be read: {error.strerror}; name a PEM file that this user"
            " may read"
        ) from None
    if len(data) > PEM_BYTES_MAX:
        raise ConfigError(f"{setting} {file}: larger than {PEM_BYTES_MAX} bytes; name a PEM file")
    return data.decode("ascii", "replace")


def _prove_pair(pem: Pem, certificate_file: str, key_file: str) -> None:
    if "-----BEGIN CERTIFICATE-----" not in pem.certificate:
        raise ConfigError(
            f"listen.tls_certificate {certificate_file}: holds no certificate; name a PEM file that"
            " begins with -----BEGIN CERTIFICATE-----"
        )
    if "PRIVATE KEY-----" not in pem.key:
        raise ConfigError(
            f"listen.tls_key {key_file}: holds no private key; name the PEM file with the key"
        )
    try:
        _server_context(pem)
    except _Locked:
        raise ConfigError(
            f"listen.tls_key {key_file}: the key is encrypted; a server has nobody to ask for its"
            f" passphrase: openssl pkey -in {key_file} -out plain.key"
        ) from None
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            words = f"does not belong to the key in {key_file}; name two that were made together"
        else:
            words = f"cannot be used with the key in {key_file} ({reason}); name intact PEM files"
        raise ConfigError(f"listen.tls_certificate {certificate_file}: {words}") from None


def _prove_authorities(text: str, file: str) -> None:
    found = 0
    if text:
        with contextlib.suppress(ssl.SSLError, ValueError):
            found = client_context(text).cert_store_stats()["x509"]
    if not found:
        raise ConfigError(
            f"upstream.ca_file {file}: holds no certificate that can be read; name a PEM file with"
            " those of the authorities"
        )


class ServerTls:
    """The data port's TLS. ``context`` is the listener's for good; every handshake moves on to the
    pair in force then, so a renewal touches no running connection and no listening socket.
    """

    def __init__(self, pem: Pem) -> None:
        self.context = _server_context(pem)
        self._current = self.context
        self.context.sni_callback = self._choose

    def renew(self, pem: Pem) -> None:
        """Whole or not at all: raises ``ssl.SSLError`` with the old pair still in force."""
        self._current = _server_context(pem)

    def _choose(self, session: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        # OpenSSL asks whether or not the client named a server
        session.context = self._current


def client_context(authorities: str, *, verify: bool = True) -> ssl.SSLContext:
    """For https to the upstream: chain and name are checked, against ``authorities`` (PEM) alone
    or, where that is empty, against the system's. ``verify=False`` takes whatever comes.
    """
    context = ssl.create_default_context(cadata=authorities or None)
    context.minimum_version = _OLDEST
    context.set_alpn_protocols(list(ALPN))
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Locked(Exception):
    """The key asks for a passphrase."""


def _server_context(pem: Pem) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _OLDEST
    # a client could make us compute without end (RFC 9325 section 3.5 has the other reasons)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(list(ALPN))
    with _as_file(pem.certificate) as chain, _as_file(pem.key) as key:
        context.load_cert_chain(chain, key, password=_refuse)
    return context


def _refuse() -> str:
    # without this OpenSSL would ask on the terminal, and wait
    raise _Locked


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A path to ``text`` that never gets a name on a disk: ``ssl`` loads a key from files only."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("pem", os.MFD_CLOEXEC)
        path = f"/proc/self/fd/{fd}"
    else:
        import tempfile

        fd, name = tempfile.mkstemp()
        os.unlink(name)
        path = f"/dev/fd/{fd}"
    with open(fd, "wb") as file:
        file.write(text.encode())
        file.flush()
        # where opening such a path duplicates the descriptor, the position is shared
        file.seek(0)
        yield path
