"""Every error leaves as ``application/problem+json``: one table from what went wrong to what is
answered.

An answer carries a code, a sentence and the request id; never a stack trace, a statement or a path.
Whatever the table does not know is a 500 with a fixed sentence, and its cause goes to the log under
the same id.
"""

import asyncio
import logging
from dataclasses import dataclass, field

import asyncpg
from aiohttp import web
from pydantic import ValidationError

from proxy.contract.base import Problem
from proxy.errors import Conflict, Invalid, NotFound, NotPermitted, Unavailable, UsageError
from proxy.visible import one_line

_log = logging.getLogger("selfheal.api")

DETAIL_CHARS_MAX = 600

TITLES: dict[int, str] = {
    400: "Not understood",
    401: "Who are you?",
    403: "Not permitted",
    404: "Not found",
    405: "No such method here",
    408: "Too slow",
    409: "Something changed",
    411: "Length needed",
    413: "Too large",
    415: "Wrong content type",
    422: "Cannot be taken",
    429: "Too many at once",
    500: "The sidecar failed",
    503: "Out of reach",
}


@dataclass(slots=True)
class Refusal(Exception):
    """A refusal of the API's own, said where it is noticed."""

    status: int
    code: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


def translate(error: BaseException) -> Refusal:
    """The one table. Order matters where one family is part of another."""
    match error:
        case Refusal():
            return error
        case NotFound():
            return Refusal(404, "not_found", str(error))
        case NotPermitted():
            return Refusal(403, "not_permitted", str(error))
        case Conflict():
            return Refusal(409, error.code, str(error))
        case Invalid():
            return Refusal(422, error.code, str(error))
        case UsageError():
            return Refusal(400, "usage", str(error))
        case Unavailable():
            return _away(str(error))
        case web.HTTPException():
            return _from_aiohttp(error)
        case asyncpg.InsufficientPrivilegeError():
            return Refusal(403, "not_permitted", "the database refuses this to your role")
        case asyncpg.InterfaceError() | asyncpg.PostgresConnectionError() | OSError():
            return _away("the database is out of reach; try again")
        case asyncpg.CannotConnectNowError() | asyncpg.TooManyConnectionsError():
            return _away("the database takes no connection now; try again")
        case asyncpg.QueryCanceledError() | TimeoutError() | asyncio.IncompleteReadError():
            return _away("the database took too long; try again")
        case _:
            return Refusal(500, "internal", "an error of the sidecar itself; its log names it")


def _away(detail: str) -> Refusal:
    return Refusal(503, "unavailable", detail, {"Retry-After": "2"})


def invalid(error: ValidationError) -> Refusal:
    """What was sent does not fit its model. Only for requests: an answer that fits no model is a
    500.
    """
    return Refusal(422, "invalid", _fields(error))


def _fields(error: ValidationError) -> str:
    """Which fields and why; never the values, which may be secrets or a megabyte."""
    lines = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    return "; ".join(lines[:5])


def _from_aiohttp(error: web.HTTPException) -> Refusal:
    status = error.status if error.status in TITLES else 400
    details = {
        404: ("not_found", "there is nothing at this path; /openapi.json lists what there is"),
        405: ("method_not_allowed", "this path takes another method"),
        413: ("too_large", "the body is larger than this path takes"),
    }
    code, detail = details.get(status, ("bad_request", TITLES[status]))
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return Refusal(status, code, detail, headers)


def render(refusal: Refusal, request_id: str) -> web.Response:
    """The answer; ``Cache-Control: no-store`` because a refusal ends when its cause does."""
    problem = Problem(
        title=TITLES.get(refusal.status, "Refused"),
        status=refusal.status,
        detail=one_line(refusal.detail)[:DETAIL_CHARS_MAX],
        code=refusal.code,
        request_id=request_id,
    )
    headers = {"Cache-Control": "no-store", "X-Request-Id": request_id, **refusal.headers}
    return web.Response(
        status=refusal.status,
        headers=headers,
        body=problem.model_dump_json().encode(),
        content_type="application/problem+json",
    )


def answer_for(error: BaseException, request_id: str) -> web.Response:
    """Translate and render; what is our own fault goes to the log with its cause."""
    refusal = translate(error)
    if refusal.status == 500:
        _log.error("request %s failed", request_id, exc_info=error)
    return render(refusal, request_id)
