"""Releases of the app: announce one, list the newest."""

from pydantic import Field

from proxy.api.call import Call
from proxy.api.table import EVERY_ROLE, WORKERS, Route
from proxy.contract.anomalies import DeployList, DeployRequest, DeployView
from proxy.contract.base import Request
from proxy.domain.deploy import Deploy
from proxy.store import deploys as deploy_store


class DeployQuery(Request):
    service: str | None = Field(None, max_length=63)
    limit: int = Field(20, ge=1, le=200)


def _view(deploy: Deploy) -> DeployView:
    return DeployView(
        id=deploy.id,
        at=deploy.created_at,
        service=deploy.service,
        version=deploy.version,
        announced_by=deploy.announced_by,
        actor=deploy.actor,
    )


async def list_deploys(call: Call) -> DeployList:
    query = call.query(DeployQuery)
    async with call.reading() as conn:
        found = await deploy_store.newest(
            conn, query.service or call.deps.config.app.service, query.limit
        )
    return DeployList(deploys=[_view(deploy) for deploy in found])


async def announce(call: Call) -> DeployView:
    """On the member's own login: the row and its audit entry name who said so."""
    sent = call.body(DeployRequest)
    service = sent.service or call.deps.config.app.service
    async with call.deed() as conn:
        return _view(await deploy_store.announce(conn, service, sent.version, "api"))


ROUTES = (
    Route(
        "GET",
        "/deploys",
        list_deploys,
        "Releases of the app, newest first.",
        EVERY_ROLE,
        DeployList,
        query=DeployQuery,
    ),
    Route(
        "POST",
        "/deploys",
        announce,
        "A release of the app has just gone out.",
        WORKERS,
        DeployView,
        DeployRequest,
        status=201,
    ),
)
