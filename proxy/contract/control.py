"""The rules of control, by version."""

from datetime import datetime
from typing import Any

from pydantic import Field

from proxy.contract.base import Answer, Request


class ControlView(Answer):
    version: int
    rules: dict[str, Any]
    changed_by: str
    changed_at: datetime


class ControlRequest(Request):
    based_on: int = Field(ge=0)
    """The version this edit started from; another one in between is 409."""
    rules: dict[str, Any]
    reason: str = Field(min_length=1, max_length=2000)
