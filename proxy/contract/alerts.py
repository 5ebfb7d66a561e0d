"""What has to be seen at once, and that it was seen."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from proxy.contract.base import Answer, Request
from proxy.contract.words import SeverityWord

AlertKind = Literal["break_glass", "critical_job", "expiring"]


class AlertView(Answer):
    """Something to be seen at once; it is told again until acknowledged."""

    kind: AlertKind
    subject: str
    severity: SeverityWord
    since: datetime
    summary: str
    expires_at: datetime | None = None


class AlertList(Answer):
    alerts: list[AlertView]


class AcknowledgeRequest(Request):
    """Seen. It silences the alert and decides nothing."""

    kind: AlertKind
    subject: str = Field(pattern=r"^[JPA]-[1-9][0-9]{0,17}$")
    note: str = Field("", max_length=2000)
