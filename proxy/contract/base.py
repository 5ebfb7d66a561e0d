"""What every page of the contract stands on: ids, digests, the two kinds of shape, a problem."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

API_PREFIX = "/api/v1"
HEARTBEAT_S = 5.0
"""At most this many seconds lie between two writes on `/events`: a comment fills a silence.
Three missed beats mean the stream is dead."""
CHANGE_HEADER = "X-Selfheal-Request"
"""Every change carries this header with value ``1``: a cross-site form cannot send it."""
_ID = re.compile(r"^(?:([JPAjpa])-)?([1-9][0-9]{0,17})$")


def parse_id(text: str, letter: Literal["J", "P", "A"]) -> int:
    """``J-12``, ``j-12`` or ``12`` → 12. ``ValueError`` says what is accepted."""
    match = _ID.match(text.strip())
    if match is None or (match[1] or letter).upper() != letter:
        raise ValueError(f"{text!r} is no {letter}-id; write {letter}-1 or 1")
    return int(match[2])


def show_id(letter: Literal["J", "P", "A"], number: int) -> str:
    return f"{letter}-{number}"


def _hex64(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("a digest is 64 lower-case hex digits")
    return value


Digest = Annotated[str, AfterValidator(_hex64)]
IdempotencyKey = Annotated[str, Field(min_length=8, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")]


class Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Answer):
    """RFC 9457. ``code`` is stable; ``detail`` is a sentence that names the fix."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str = ""
    request_id: str = ""
