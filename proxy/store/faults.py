"""The one border where errors of asyncpg and Postgres become ours. Knows SQLSTATEs, nothing of
tables.
"""

import contextlib
from collections.abc import Iterator

import asyncpg

from proxy.errors import Conflict, Invalid, NotFound, NotPermitted, SelfHealError, Unavailable

# what our own triggers raise (docs/database.md)
_OURS: dict[str, str] = {
    "SH001": "illegal_step",
    "SH002": "digest_changed",
    "SH003": "gate_missing",
    "SH004": "already_decided",
    "SH005": "expired",
    "SH006": "immutable",
}
_CONFLICTS: dict[str, str] = {
    "23505": "exists",
    "40P01": "retry",
    "40001": "retry",
    "55P03": "retry",
}
_REFUSED = {"42501", "28000", "28P01"}
_AWAY = ("08", "53", "57", "58", "3D", "XX")
"""SQLSTATE classes that say something about the server, not about the statement."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise the errors of ``proxy.errors`` in place of the driver's; whatever is a bug of ours
    passes as it is.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error
    except asyncpg.InterfaceError as error:
        # "connection is closed", "pool is closing": the driver's words for a server that left
        if "closed" in str(error) or "closing" in str(error) or "terminated" in str(error):
            raise Unavailable(f"the database connection is gone: {error}") from error
        raise
    except asyncpg.InternalClientError as error:
        # cut in mid-statement it cannot even be rolled back; the pool drops it
        raise Unavailable(f"the database connection is gone: {error}") from error
    except (OSError, TimeoutError, EOFError) as error:
        raise Unavailable(
            f"the database does not answer: {str(error) or type(error).__name__}"
        ) from error


def translate(error: asyncpg.PostgresError) -> SelfHealError | None:
    """Our error for a server's; None when only a wrong statement of ours can be the reason."""
    state = str(getattr(error, "sqlstate", "") or "")
    text = str(getattr(error, "message", "") or error)
    if state in _OURS:
        return Conflict(text, code=_OURS[state])
    if state == "SH007":
        return NotFound(text)
    if state in _REFUSED:
        return NotPermitted(text)
    if state in _CONFLICTS:
        return Conflict(text, code=_CONFLICTS[state])
    if state[:2] in ("22", "23"):
        return Invalid(text)
    if state[:2] in _AWAY:
        return Unavailable(f"the database does not answer: {text}")
    return None
