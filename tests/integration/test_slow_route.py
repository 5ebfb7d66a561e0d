"""A route that becomes three times slower under a running sidecar: told once and truly, and over
when it is over. Real time, so minutes: whole in `make shows`; `make test` has the same detector on
recorded days.
"""

import asyncio
import json
import random
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from proxy.app.baselines import to_rows
from proxy.observability.detector import MLDetector
from proxy.store import metrics
from proxy.store.embedded import Cluster
from tests.support.campaign import IS_WHOLE, SEED
from tests.support.sidecar import Sidecar, run_sidecar, until

USUAL_S = 0.15
"""Long enough that a busy machine adds little to it."""
SLOW_S = 3 * USUAL_S
LOOK_S = 20.0
RATE = 6.0
INCIDENT_S = 180.0
END_S = 600.0


def learned(usual_ms: list[float]) -> list[metrics.Baseline]:
    """What a sidecar that ran for three hours has stored of a route with such durations."""
    detector = MLDetector()
    rng = random.Random(SEED)
    now = time.time()
    at = now - 3 * 3600
    while at < now:
        at += rng.expovariate(RATE)
        took = rng.choice(usual_ms) * rng.lognormvariate(0.0, 0.05)
        detector.observe("GET", "/slow", 200, took, at, failed=False)
        detector.tick(at)
    return list(to_rows("app", detector))


async def plant(sidecar: Sidecar, usual_ms: list[float]) -> None:
    conn = await asyncpg.connect(
        Cluster(sidecar.data_dir).installer_dsn(), server_settings={"search_path": "selfheal"}
    )
    await conn.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    await metrics.save_baselines(conn, learned(usual_ms))
    await conn.close()


class Visitors:
    """Six requests a second; ``delay_s`` is what the app takes for each."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.delay_s = USUAL_S
        self._took: list[tuple[float, float]] = []
        self._sidecar = sidecar
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(n,)) for n in range(3)]

    def _visit(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self._stop.wait(rng.expovariate(RATE / 3)):
            start = time.time()
            self._sidecar.get(f"/slow?s={self.delay_s}")
            self._took.append((start, 1000 * (time.time() - start)))

    def seen_ms(self) -> list[float]:
        return [took for _, took in list(self._took)]

    def median_ms(self, since: float) -> float:
        return statistics.median(took for start, took in list(self._took) if start >= since)

    @contextmanager
    def calling(self) -> Iterator["Visitors"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()


@pytest.mark.campaign
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not IS_WHOLE, reason="ten minutes of real time: make shows")
def test_three_times_slower_is_told_once_and_ends(tmp_path: Path, upstream: str) -> None:
    with run_sidecar(tmp_path, upstream) as sidecar:
        sidecar.wait_for_database()
        # what is usual on this machine today, and not what ought to be
        with Visitors(sidecar).calling() as first:
            time.sleep(LOOK_S)
    with run_sidecar(tmp_path, upstream) as sidecar:
        # one without visitors, or it would store at its end what they taught it
        sidecar.wait_for_database()
        asyncio.run(plant(sidecar, first.seen_ms()))
    with run_sidecar(tmp_path, upstream, "--set", "metrics.flush_s=3600") as sidecar:
        sidecar.wait_for_database()
        with Visitors(sidecar).calling() as visitors:
            watch(sidecar, visitors)
        # only now: a visitor who is refused is a failure of this test
        assert sidecar.stop() == 0


def watch(sidecar: Sidecar, visitors: Visitors) -> None:
    def anomalies() -> list[dict[str, Any]]:
        done = sidecar.command("anomalies", "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def health() -> dict[str, Any]:
        body: dict[str, Any] = sidecar.api("/health").json()
        return body

    until(lambda: (health()["score"] or 0) >= 95, what="a good score", timeout_s=60)
    time.sleep(30)
    assert anomalies() == []
    began = time.time()
    visitors.delay_s = SLOW_S
    [found] = until(anomalies, what="an anomaly", timeout_s=INCIDENT_S)
    assert (found["type"], found["route"], found["method"]) == ("latency_spike", "/slow", "GET")
    # what the visitors themselves measured is the judge: a busy machine adds its own share
    assert found["observed"] == pytest.approx(visitors.median_ms(since=began), rel=0.35)
    assert found["ratio"] == pytest.approx(found["observed"] / found["baseline"], rel=0.1)
    assert "/slow" in found["description"]
    assert "ms instead of" in found["description"]
    job = until(sidecar.jobs, what="its job", timeout_s=10)[0]
    assert (job["category"], job["route"]) == ("PERFORMANCE", "/slow")
    detail = sidecar.api("/jobs/1").json()["job"]
    assert detail["related_anomaly_ids"] == [found["id"]]
    until(lambda: health()["score"] < 95, what="a worse score", timeout_s=30)
    assert any("GET /slow takes" in term["text"] for term in health()["why"])
    assert time.time() - began < INCIDENT_S + 250
    visitors.delay_s = USUAL_S
    until(
        lambda: all(anomaly["resolved"] for anomaly in anomalies()),
        what="the end of the incident",
        timeout_s=END_S,
    )
    until(lambda: health()["score"] >= 95, what="a good score again", timeout_s=END_S)
    [over] = anomalies()
    assert over["id"] == found["id"], "one incident, one row"
    assert len(sidecar.jobs()) == 1
