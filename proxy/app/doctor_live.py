"""The doctor beside a running sidecar: what it says of itself, who stands around it, and what it is
blind to.
"""

from typing import Any

import aiohttp
from pydantic import ValidationError

from proxy.app.findings import Finding
from proxy.contract.health import Health, SurroundingsView

TIMEOUT_S = 3.0
ANSWER_BYTES_MAX = 16 << 20


async def examine(url: str | None, token: str | None) -> list[Finding]:
    """Without a token only what a load balancer may know is told."""
    if url is None:
        return [Finding("sidecar", "missing", "none runs on this data directory")]
    try:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), read_bufsize=ANSWER_BYTES_MAX
        ) as session:
            async with session.get(f"{url}/healthz") as answer:
                findings = [_sidecar(url, await answer.json(content_type=None))]
            if token is None:
                return [*findings, _unheard("no token: set SELFHEAL_TOKEN")]
            headers = {"Authorization": f"Bearer {token}"}
            async with session.get(f"{url}/api/v1/health", headers=headers) as answer:
                if answer.status != 200:
                    return [*findings, _unheard(f"the sidecar answered {answer.status}")]
                health = Health.model_validate_json(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValueError, ValidationError) as error:
        return [Finding("sidecar", "broken", f"{url} does not answer: {error}")]
    return findings + around(health.surroundings, str(health.upstream.get("url", "")))


def _unheard(why: str) -> Finding:
    return Finding("surroundings", "missing", f"what the sidecar sees around it is unknown; {why}")


def _sidecar(url: str, body: Any) -> Finding:
    storage = body.get("storage")
    state = storage.get("state", "unknown") if isinstance(storage, dict) else "unknown"
    return Finding("sidecar", "ok", f"{url} says {body.get('status')}, storage {state}")


def around(seen: SurroundingsView, upstream: str) -> list[Finding]:
    """In front, behind, and a line for each blind spot with what opens it."""
    basis = f"by {seen.requests} failing or redirected requests"
    front = ", ".join(f"{one.name} ({one.header})" for one in seen.front)
    behind = ", ".join(f"{one.name} ({one.header})" for one in seen.behind)
    return [
        Finding("in front", "ok", f"{front or 'nobody who names himself'}, {basis}"),
        Finding("behind", "ok", f"{upstream}: {behind or 'nothing that names itself'}, {basis}"),
        *(Finding("blind to", "reduced", f"{one.to}; {one.remedy}") for one in seen.blind),
    ]
