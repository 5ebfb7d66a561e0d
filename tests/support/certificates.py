"""An authority of our own and what it issues; keys are elliptic, so making them costs nothing."""

import datetime
import ssl
from pathlib import Path

import trustme

from proxy.dataplane.tls import Pem

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


class Authority:
    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.text = self._ca.cert_pem.bytes().decode()

    def pair(self, *names: str, expired: bool = False) -> Pem:
        """A chain with its key for ``names``; this machine's by default."""
        until = LONG_AGO + datetime.timedelta(days=1) if expired else None
        leaf = self._ca.issue_cert(
            *(names or ("localhost", "127.0.0.1")),
            not_before=LONG_AGO if expired else None,
            not_after=until,
        )
        chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
        return Pem(chain.decode(), leaf.private_key_pem.bytes().decode())

    def trusting(self, *protocols: str) -> ssl.SSLContext:
        """A client that trusts this authority alone and offers ``protocols`` by ALPN."""
        context = ssl.create_default_context(cadata=self.text)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


def serving(pair: Pem, folder: Path) -> ssl.SSLContext:
    """What a server of anybody else's makes of ``pair``."""
    certificate, key = written(pair, folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def written(pair: Pem, folder: Path) -> tuple[Path, Path]:
    """The files of ``pair``, as an operator has them."""
    certificate, key = folder / "chain.pem", folder / "key.pem"
    certificate.write_text(pair.certificate)
    key.write_text(pair.key)
    return certificate, key
