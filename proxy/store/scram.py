"""SCRAM-SHA-256 verifiers (RFC 5802, 7677), made here so that no password ever travels in a
statement.
"""

import base64
import hashlib
import hmac
import os
import secrets

ITERATIONS = 4096
SECRET_BYTES = 32


def new_secret() -> str:
    """256 random bits as 43 URL-safe characters; ASCII, so SASLprep leaves it alone."""
    return secrets.token_urlsafe(SECRET_BYTES)


def verifier(secret: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """What ``CREATE ROLE … PASSWORD`` stores as it is."""
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored, server = (
        base64.b64encode(part).decode() for part in (salt, stored_key, server_key)
    )
    return f"SCRAM-SHA-256${iterations}:{salt_text}${stored}:{server}"
