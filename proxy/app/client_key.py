"""Who was hit, countable and not readable: a keyed hash of the peer's address.

The key lies beside the data (0600), so that all workers, and the next run, count the same visitor
once; without it the hash of an address could be reversed by trying all addresses.
"""

import contextlib
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

KEY_BYTES = 32


def client_hasher(key_file: Path) -> Callable[[str], str | None]:
    """Address → 16 hex digits; an empty address (unix socket) stays nobody."""
    return keyed(_read_or_make(key_file))


def keyed(key: bytes) -> Callable[[str], str | None]:
    """The same with a key of at most 64 bytes that is kept elsewhere."""

    def hash_client(address: str) -> str | None:
        if not address:
            return None
        return blake2b(address.encode(), key=key, digest_size=8).hexdigest()

    return hash_client


def _read_or_make(path: Path) -> bytes:
    """Several workers start at once: the first one writes, the others read what it wrote."""
    with contextlib.suppress(OSError):
        part = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
        try:
            os.link(part, path)
        finally:
            part.unlink()
    key = path.read_bytes() if path.exists() else b""
    # A disk that takes no file must not stop the traffic: this run then counts on its own.
    return key if len(key) == KEY_BYTES else os.urandom(KEY_BYTES)
