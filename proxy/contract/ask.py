"""Questions to AI Phill and what an answer rests on."""

from typing import Literal

from pydantic import Field

from proxy.contract.base import Answer, Request


class Citation(Answer):
    kind: Literal["job", "patch", "approval", "anomaly", "route"]
    id: str


class AskRequest(Request):
    text: str = Field(min_length=1, max_length=4000)


class AskAnswer(Answer):
    intent: str
    answer: str
    citations: list[Citation] = []
    suggested: list[str] = []
    model: str | None = None
    """None: answered from facts alone."""
