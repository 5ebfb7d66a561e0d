"""The rules file: imported when it changes, left alone when it cannot be taken."""

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from proxy.agents.router import OrchestratorRouter
from proxy.api.control_file import watch_control_file
from proxy.api.deps import ApiDeps
from proxy.api.facts import StoreFacts
from proxy.config import Config
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.rules import RuleSet
from proxy.healing.service import SelfHealingService
from proxy.store import control as control_store
from proxy.store.control import ControlVersion
from proxy.store.pool import AS_PROXY, acting
from proxy.tasks import cancel, spawn
from tests.support.api import HandLive


def never() -> object:
    raise AssertionError("nothing is healed here")


async def current(pool: asyncpg.Pool) -> ControlVersion | None:
    async with acting(pool, AS_PROXY) as conn:
        return await control_store.get_control(conn)


async def version(pool: asyncpg.Pool, number: int) -> ControlVersion:
    async with asyncio.timeout(10):
        while (found := await current(pool)) is None or found.version < number:
            await asyncio.sleep(0.02)
    return found


async def test_a_changed_file_is_a_new_version(
    proxy_pool: asyncpg.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.api.control_file.LOOK_S", 0.02)
    file = tmp_path / "control.toml"
    live = HandLive()
    deps = ApiDeps(
        config=Config(),
        pool_source=lambda: proxy_pool,
        member_dsn=lambda: None,
        live=live,
        service=SelfHealingService(never, ErrorClassifier(RuleSet.load()), Config()),  # type: ignore[arg-type]  # never called
        ask=OrchestratorRouter(StoreFacts(lambda: proxy_pool, live.health)),
        control_file=file,
    )
    watching = spawn(watch_control_file(deps), name="watch")
    file.write_text("[thresholds]\nauto_risk_max = 7\n")
    first = await version(proxy_pool, 1)
    assert first.rules["thresholds"] == {"auto_risk_max": 7}
    assert first.changed_by == "control.toml"
    file.write_text("[thresholds]\nauto_risk_max = 99\n")
    os.utime(file, ns=(1, 1))
    await asyncio.sleep(0.1)
    file.write_text("[thresholds]\nauto_risk_max = 3\n")
    second = await version(proxy_pool, 2)
    assert second.rules["thresholds"] == {"auto_risk_max": 3}
    await cancel(watching)
