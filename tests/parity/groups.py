"""The five groups, and the pages each is made of."""

from tests.parity import (
    answers,
    bad_answers,
    bad_requests,
    connections,
    faults,
    request_bodies,
    request_heads,
    websocket,
)
from tests.parity.case import Case

GROUPS: dict[str, list[Case]] = {
    "transparency": [
        *request_heads.CASES,
        *request_bodies.CASES,
        *connections.CASES,
        *answers.CASES,
    ],
    "websocket": websocket.CASES,
    "bad requests": bad_requests.CASES,
    "bad answers": bad_answers.CASES,
    "faults": faults.CASES,
}
