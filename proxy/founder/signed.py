"""Where signatures are asked for and checked: at the decision, and again before `apply`.

``founder.signers`` names the file of keys. Without it no decision needs a signature.
"""

from pathlib import Path

import asyncpg

from proxy.domain.patch import Patch
from proxy.errors import ConfigError, Conflict
from proxy.founder.signature import Signer, check, read_signers, text_of
from proxy.store import approvals

SIGNERS_BYTES_MAX = 1 << 20


def signers_in(path: str) -> list[Signer]:
    """Read anew each time: a key that was taken out counts no more at once.

    ``ConfigError`` when the file cannot be taken: nothing passes unsigned for want of it.
    """
    try:
        raw = Path(path).read_bytes()
        if len(raw) > SIGNERS_BYTES_MAX:
            raise ConfigError("founder.signers: the file is too large")
        return read_signers(raw.decode("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise ConfigError("founder.signers: the file cannot be read") from None


def check_decision(path: str, patch: Patch, name: str, signature: str | None) -> None:
    """At the decision. ``Conflict`` (``signature_missing``), ``Invalid`` (``signature_bad``)."""
    if not path:
        return
    if signature is None:
        raise Conflict(
            f"a yes at gate main is signed here: selfheal approve P-{patch.id} --sign KEYFILE",
            code="signature_missing",
        )
    check(signature, text_of(patch), name, signers_in(path))


async def check_before_apply(conn: asyncpg.Connection, path: str, patch: Patch) -> None:
    """Over diff, base, evidence and gate as they stand now, not as the database says they were."""
    if not path:
        return
    signed = await approvals.signature_at_main(conn, patch.id)
    if signed is None:
        raise Conflict(f"nobody signed for P-{patch.id}", code="signature_missing")
    name, signature = signed
    check(signature, text_of(patch), name, signers_in(path))
