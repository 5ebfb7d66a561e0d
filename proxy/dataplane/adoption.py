"""From the hot plane to the general one in the middle of an exchange: what is known becomes a
``Forwarding``.

What the hot plane let pass is read again here by the strict reader, and must pass again.
"""

from typing import TYPE_CHECKING

from proxy.dataplane import headers
from proxy.dataplane.forwarding import Client, Forwarding
from proxy.dataplane.request_head import read_request
from proxy.dataplane.response_head import read_response

if TYPE_CHECKING:
    from proxy.dataplane.hot import Hot

_READ_BEFORE = 1 << 30
"""No limit: the head was within its limits when the hot plane read it."""


def adopt(client: Client, hot: "Hot") -> Forwarding:
    size = hot.data.find(b"\r\n\r\n") + 4
    head, first = hot.data[:size], hot.data[size:]
    request = read_request(head, _READ_BEFORE, _READ_BEFORE)
    exchange = Forwarding(client, request, hot.started, hot.started + hot.plane.wall_offset)
    exchange.upstream = hot.upstream
    exchange.up_at = hot.up_at
    exchange.body.skip(hot.length - hot.left)
    for piece in (first, *hot.pieces):
        exchange.copy.keep(piece)
    _take_request(exchange, hot, first)
    if hot.answer_head:
        _take_answer(exchange, hot)
    return exchange


def _take_request(exchange: Forwarding, hot: "Hot", first: bytes) -> None:
    """What is sent or still waits, and what may be sent again."""
    sending = exchange.sending
    sending.never_repeat()
    if hot.may_retry and not hot.answer_head:
        block = headers.request_block(exchange.request, hot.upstream.authority, [], frozenset())
        sending.keep_for_repeat([block, first])
    if hot.unsent:
        sending.wait(hot.unsent)
    if hot.link is not None:
        hot.link.owner = exchange
        exchange.link = hot.link
        exchange.was_reused = hot.link.reused


def _take_answer(exchange: Forwarding, hot: "Hot") -> None:
    response = read_response(hot.answer_head, exchange.request.method, _READ_BEFORE, _READ_BEFORE)
    answering = exchange.answering
    answering.begin(response, exchange.request.minor)
    assert answering.body is not None
    answering.body.skip(hot.answer_length - hot.answer_left)
    exchange.close_after = hot.plane.draining
