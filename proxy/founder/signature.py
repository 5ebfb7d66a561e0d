"""Decisions signed with the founder's SSH key: what is signed, and whether a signature holds. Pure.

The format is that of ``ssh-keygen -Y sign`` (OpenSSH PROTOCOL.sshsig); keys are Ed25519 (RFC 8032,
RFC 8709). Who may sign stands in an allowed-signers file (ssh-keygen(1)) outside the database, so a
stolen database can approve nothing.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from proxy.domain.patch import Patch, canonical_json, evidence_digest, patch_digest
from proxy.errors import ConfigError, Invalid

NAMESPACE = "selfheal-decision"
MAGIC = b"SSHSIG"
KEY_TYPE = b"ssh-ed25519"
SIGNATURE_CHARS_MAX = 4096
SIGNERS_MAX = 1000
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_HASHES = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Signer:
    """One line of the allowed-signers file."""

    names: tuple[str, ...]
    key: bytes

    def speaks_for(self, name: str) -> bool:
        return name in self.names


def signed_text(digest: str, base_commit: str | None, evidence: str | None) -> bytes:
    """What the founder signs to let a patch past gate main: canonical JSON, no line end."""
    return canonical_json(
        {"base_commit": base_commit, "digest": digest, "evidence_digest": evidence, "gate": "main"}
    )


def text_of(patch: Patch) -> bytes:
    """The same, computed from what would be applied and never from what the row says of itself."""
    evidence = None if patch.evidence is None else evidence_digest(patch.evidence)
    digest = patch_digest(patch.base_commit, patch.diff, patch.sql)
    return signed_text(digest, patch.base_commit, evidence)


def read_signers(text: str) -> list[Signer]:
    """``principals [options] ssh-ed25519 KEY [comment]`` a line. ``ConfigError`` for a line that
    cannot be kept to its word: another kind of key, an option beyond ``namespaces``, a wildcard.
    """
    signers = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"allowed signers, line {number}"
        if KEY_TYPE.decode() not in words[1:-1]:
            raise ConfigError(f"{where}: a line is: name ssh-ed25519 KEY")
        at = words.index(KEY_TYPE.decode(), 1)
        if not all(_for_us(option, where) for option in words[1:at]):
            continue
        names = tuple(words[0].split(","))
        if any(set(name) & set("*?!") for name in names):
            raise ConfigError(f"{where}: name each signer; a pattern would let in too many")
        signers.append(Signer(names, _public_key(words[at + 1], where)))
    if len(signers) > SIGNERS_MAX:
        raise ConfigError(f"allowed signers: more than {SIGNERS_MAX}")
    return signers


def _for_us(option: str, where: str) -> bool:
    name, _, value = option.partition("=")
    if name.lower() != "namespaces":
        raise ConfigError(f"{where}: {name} is an option nobody here would keep to")
    return NAMESPACE in value.strip('"').split(",")


def _public_key(text: str, where: str) -> bytes:
    try:
        fields = list(_fields(base64.b64decode(text, validate=True)))
    except (binascii.Error, ValueError):
        raise ConfigError(f"{where}: this is no public key") from None
    if len(fields) != 2 or fields[0] != KEY_TYPE or len(fields[1]) != 32:
        raise ConfigError(f"{where}: this is no Ed25519 key")
    return fields[1]


def check(armoured: str, text: bytes, name: str, signers: Iterable[Signer]) -> None:
    """``Invalid`` (``signature_bad``) unless ``name`` signed exactly ``text`` for this purpose."""
    key, hashed, signature = _opened(armoured, text)
    if not any(signer.key == key and signer.speaks_for(name) for signer in signers):
        raise _bad(f"the key is none of {name}'s in the allowed signers")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, hashed)
    except (InvalidSignature, ValueError):
        raise _bad("it was made for something else") from None


def _opened(armoured: str, text: bytes) -> tuple[bytes, bytes, bytes]:
    """Key, the bytes that were signed, signature (PROTOCOL.sshsig, sections 2 and 3)."""
    lines = armoured.strip().splitlines()
    if len(armoured) > SIGNATURE_CHARS_MAX or len(lines) < 3:
        raise _bad("it is no SSH signature")
    if lines[0].strip() != _BEGIN or lines[-1].strip() != _END:
        raise _bad("it is no SSH signature")
    try:
        blob = base64.b64decode("".join(line.strip() for line in lines[1:-1]), validate=True)
        if blob[:6] != MAGIC or struct.unpack(">I", blob[6:10])[0] != 1:
            raise ValueError
        public, namespace, reserved, algorithm, wrapped = _fields(blob[10:])
        (key_type, key), (kind, signature) = _fields(public), _fields(wrapped)
    except (binascii.Error, ValueError, struct.error):
        raise _bad("it is no SSH signature") from None
    if key_type != KEY_TYPE or kind != KEY_TYPE or algorithm not in _HASHES:
        raise _bad("only Ed25519 keys sign here")
    if namespace != NAMESPACE.encode():
        raise _bad(f"it was made for another purpose; sign with -n {NAMESPACE}")
    told = _HASHES[algorithm](text).digest()
    hashed = MAGIC + b"".join(map(_field, (namespace, reserved, algorithm, told)))
    return key, hashed, signature


def _fields(blob: bytes) -> Iterator[bytes]:
    """SSH strings (RFC 4251, section 5) until the end; ``ValueError`` when one is cut."""
    at = 0
    while at < len(blob):
        length = int.from_bytes(blob[at : at + 4], "big")
        at += 4
        if at + length > len(blob):
            raise ValueError("cut")
        yield blob[at : at + length]
        at += length


def _field(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _bad(why: str) -> Invalid:
    return Invalid(f"the signature does not count: {why}", code="signature_bad")
