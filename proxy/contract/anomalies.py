"""Incidents the detector told, and the releases shown beside them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from proxy.contract.base import Answer, Request
from proxy.contract.words import EndWord, SeverityWord


class AnomalyView(Answer):
    id: str
    detected_at: datetime
    service: str
    route: str
    method: str
    type: Literal["latency_spike", "error_rate_spike", "unusual_pattern", "cascade_failure"]
    severity: SeverityWord
    description: str
    onset: datetime | None = None
    baseline: float | None = Field(
        None,
        description="What was weighed as usual: ms, or a share of requests (0-1). A share holds the"
        " belief about a route that is not known yet; what was measured stands in `description`.",
    )
    observed: float | None = Field(None, description="ms, or a share of requests (0-1).")
    ratio: float | None = Field(None, description="`observed` by `baseline`.")
    sigma: float | None = None
    samples: int | None = Field(None, description="Requests since the onset, when it was told.")
    occurrences: int = 1
    resolved: bool = False
    resolved_at: datetime | None = None
    ended: EndWord | None = Field(
        None,
        description="How it ended: `recovered`; `new_normal`: the level stayed for half an hour and"
        " counts as usual; `silent`: no requests for half an hour; `unwatched`: no proxy reported"
        " it any more.",
    )
    part_of: str | None = Field(
        None, description="The route (`GET /x`) whose alert speaks for this incident, too."
    )


class DeployRequest(Request):
    """`POST /deploys`: a release of the app has gone out."""

    version: str = Field("", max_length=200)
    service: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")


class DeployView(Answer):
    id: int
    at: datetime
    service: str
    version: str
    announced_by: Literal["api", "header"]
    actor: str


class DeployList(Answer):
    deploys: list[DeployView]


class AnomalyList(Answer):
    anomalies: list[AnomalyView]
