"""`POST /ask`: one question, one cited answer; as an event stream where asked for."""

import json

from aiohttp import web

from proxy.api.call import Call
from proxy.api.table import WORKERS, Route
from proxy.contract.ask import AskAnswer, AskRequest


async def ask(call: Call) -> AskAnswer | web.StreamResponse:
    answer = await call.deps.ask.ask(call.body(AskRequest).text)
    if "text/event-stream" not in call.request.headers.get("Accept", ""):
        return answer
    return await _stream(call, answer)


async def _stream(call: Call, answer: AskAnswer) -> web.StreamResponse:
    """`text` events line by line, then one `done` with the whole answer."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    await response.prepare(call.request)
    for line in answer.answer.splitlines():
        await response.write(f"event: text\ndata: {json.dumps(line)}\n\n".encode())
    await response.write(f"event: done\ndata: {answer.model_dump_json()}\n\n".encode())
    await response.write_eof()
    return response


ROUTES = (
    Route(
        "POST",
        "/ask",
        ask,
        "A question, answered from facts with citations.",
        # not for viewers: an answer may one day cost a model's time
        WORKERS,
        AskAnswer,
        AskRequest,
    ),
)
