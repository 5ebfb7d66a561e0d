"""The founder's SSH signature under a yes at gate main, made by ``ssh-keygen`` with a key (or an
agent's) that never comes here.
"""

import json
import os
import subprocess

from proxy.contract.patches import PatchView
from proxy.errors import NotFound, UsageError

NAMESPACE = "selfheal-decision"
SIGN_S = 120.0
"""A person may have to type a passphrase or touch a token."""


def text_to_sign(patch: PatchView) -> bytes:
    """Gate, digest, base and evidence of what was shown, as canonical JSON."""
    said = {
        "base_commit": patch.base_commit,
        "digest": patch.digest,
        "evidence_digest": patch.evidence_digest,
        "gate": "main",
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(key_file: str, patch: PatchView) -> str:
    """The armoured signature. ``NotFound`` without ssh-keygen, ``UsageError`` when it refuses."""
    command = [
        "ssh-keygen",
        "-q",
        "-Y",
        "sign",
        "-f",
        os.path.expanduser(key_file),
        "-n",
        NAMESPACE,
    ]
    try:
        made = subprocess.run(
            command, input=text_to_sign(patch), capture_output=True, timeout=SIGN_S, check=False
        )
    except FileNotFoundError:
        raise NotFound("ssh-keygen is not installed; it comes with OpenSSH") from None
    except subprocess.TimeoutExpired:
        raise UsageError("ssh-keygen waited too long for the key") from None
    if made.returncode != 0:
        told = made.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(f"ssh-keygen did not sign: {told[-1] if told else 'no reason given'}")
    return made.stdout.decode("ascii")
