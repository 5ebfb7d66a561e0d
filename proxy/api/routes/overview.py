"""What is going on: health with open jobs, routes with their jobs, anomalies."""

from pydantic import Field

from proxy.api.call import Call
from proxy.api.present import anomaly_view
from proxy.api.table import EVERY_ROLE, Route
from proxy.contract.anomalies import AnomalyList
from proxy.contract.base import Request, show_id
from proxy.contract.health import Health, RouteList
from proxy.errors import Unavailable
from proxy.store import incidents as incident_store
from proxy.store import jobs as job_store

ROUTE_JOBS_READ_MAX = 500


class AnomalyQuery(Request):
    resolved: bool | None = None
    service: str | None = Field(None, max_length=63)
    limit: int = Field(100, ge=1, le=500)


async def health(call: Call) -> Health:
    """The merged picture; with the database away only the counts of jobs are missing."""
    merged = call.deps.live.health()
    told = call.deps.status()
    extra = {
        name: told[name]
        for name in ("upstream", "storage", "capture", "workers")
        if not getattr(merged, name) and told.get(name)
    }
    try:
        async with call.reading() as conn:
            extra["open_jobs"] = await job_store.open_job_counts(conn)
    except Unavailable:
        storage = extra.get("storage") or merged.storage
        extra["storage"] = {**storage, "state": storage.get("state", "away")}
    return merged.model_copy(update=extra)


async def routes(call: Call) -> RouteList:
    found = call.deps.live.routes()
    by_route: dict[tuple[str, str], list[str]] = {}
    try:
        async with call.reading() as conn:
            page = await job_store.list_open_jobs(conn, ROUTE_JOBS_READ_MAX)
        for job in page:
            by_route.setdefault((job.method or "", job.route or ""), []).append(
                show_id("J", job.id)
            )
    except Unavailable:
        by_route = {}
    return RouteList(
        routes=[
            route.model_copy(update={"jobs": by_route.get((route.method, route.route), [])})
            for route in found
        ]
    )


async def anomalies(call: Call) -> AnomalyList:
    query = call.query(AnomalyQuery)
    async with call.reading() as conn:
        rows = await incident_store.list_anomalies(
            conn, service=query.service, resolved=query.resolved, limit=query.limit
        )
    return AnomalyList(anomalies=[anomaly_view(row) for row in rows])


ROUTES = (
    Route("GET", "/health", health, "Score with its terms, traffic, jobs.", EVERY_ROLE, Health),
    Route("GET", "/routes", routes, "Every route of the window.", EVERY_ROLE, RouteList),
    Route(
        "GET",
        "/anomalies",
        anomalies,
        "Latency and error-rate incidents, newest first.",
        EVERY_ROLE,
        AnomalyList,
        query=AnomalyQuery,
    ),
)
