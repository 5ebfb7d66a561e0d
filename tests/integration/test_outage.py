"""An outage behind a running sidecar that flushes once an hour: told at once all the same, to who
asks for anomalies, for jobs and for alerts.
"""

import time
from pathlib import Path
from typing import Any

from tests.support.sidecar import run_sidecar, until

EVERY_S = 0.2
TOLD_S = 40.0
"""The promise for a full outage; a busy machine adds nothing that matters to it."""


def test_an_outage_waits_for_no_flush(tmp_path: Path, upstream: str) -> None:
    with run_sidecar(tmp_path, upstream, "--set", "metrics.flush_s=3600") as sidecar:
        sidecar.wait_for_database()
        began = time.monotonic()

        def anomalies() -> list[dict[str, Any]]:
            assert sidecar.get("/fail/7").status == 500
            time.sleep(EVERY_S)
            body: dict[str, Any] = sidecar.api("/anomalies").json()
            found: list[dict[str, Any]] = body["anomalies"]
            return found

        [found] = until(anomalies, what="an anomaly", timeout_s=TOLD_S)
        assert time.monotonic() - began < TOLD_S
        assert (found["type"], found["severity"]) == ("error_rate_spike", "critical")
        assert (found["method"], found["route"]) == ("GET", "/fail/{id}")
        assert "GET /fail/{id} fails 100.0% of the time" in found["description"]

        def job() -> dict[str, Any] | None:
            detail: dict[str, Any] = sidecar.api("/jobs/1").json()["job"]
            return detail if detail["related_anomaly_ids"] else None

        told = until(job, what="its job", timeout_s=10)
        assert told["related_anomaly_ids"] == [found["id"]]
        assert told["route"] == "/fail/{id}"
        alerts = until(lambda: sidecar.api("/alerts").json()["alerts"], what="an alert")
        assert any("/fail/{id}" in str(alert) for alert in alerts)
        assert len(sidecar.jobs()) == 1
        assert sidecar.api("/health").json()["score"] < 60
        assert sidecar.stop() == 0
