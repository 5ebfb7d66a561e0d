"""Facts for the console's tests: one small shop with a few broken things, always the same."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from proxy.contract.alerts import AlertKind, AlertView
from proxy.contract.anomalies import AnomalyView
from proxy.contract.approvals import ApprovalView
from proxy.contract.audit import AuditView
from proxy.contract.control import ControlView
from proxy.contract.health import Health, RouteStats, TrafficMinute, WhyTerm
from proxy.contract.jobs import FailureEvent, JobView
from proxy.contract.patches import (
    CommandRun,
    ConfidenceView,
    PatchView,
    ReplayRun,
    RiskView,
    SandboxEvidence,
)

NOW = datetime(2026, 11, 22, 14, 2, 31, tzinfo=UTC)

DIFF = """\
diff --git a/app/checkout.py b/app/checkout.py
--- a/app/checkout.py
+++ b/app/checkout.py
@@ -16,6 +16,7 @@ def total(cart):
     lines = cart.lines
     if not lines:
-        return None
+        return Decimal(0)
+
     amount = sum(line.price for line in lines)
-    return amount * rate(cart.country)
+    return amount * rate(cart.country or "DE")
~
@@ -40,2 +41,3 @@ def rate(country):
     table = load_rates()
-    return table[country]
+    value = table.get(country)
+    return value if value is not None else table["*"]
diff --git a/tests/test_checkout.py b/tests/test_checkout.py
--- a/tests/test_checkout.py
+++ b/tests/test_checkout.py
@@ -1,2 +1,5 @@
 from app.checkout import total
~
+
+def test_empty_cart_costs_nothing():
+    assert total(Cart([])) == 0
""".replace("\n~\n", "\n \n")


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def job(number: int = 1, **changes: Any) -> JobView:
    facts: dict[str, Any] = {
        "id": f"J-{number}",
        "service": "shop",
        "environment": "production",
        "method": "POST",
        "route": "/checkout",
        "category": "API_SCHEMA",
        "severity": "high",
        "status": "open",
        "occurrences": 214,
        "first_seen": ago(2460),
        "last_seen": ago(120),
        "signature": "v1:" + digest(str(number))[:16],
        "signature_text": "TypeError: unsupported operand NoneType in total",
        "rule": "api-schema-typeerror",
        "evidence": ["500 on POST /checkout", "app frame checkout.total"],
        "regression": False,
        "noise": False,
        "patches": [],
    }
    return JobView.model_validate(facts | changes)


def jobs() -> list[JobView]:
    return [
        job(1, patches=["P-1", "P-2"], status="patch_proposed"),
        job(
            2,
            method="GET",
            route="/orders/{id}",
            severity="critical",
            category="DB_ERROR",
            occurrences=31,
            last_seen=ago(840),
            signature_text="UniqueViolation: orders_pkey",
            rule="db-unique",
        ),
        job(
            3,
            route="/hook",
            severity="medium",
            category="UNKNOWN",
            occurrences=902,
            last_seen=ago(3700),
            signature_text="HTTP 502 without a body",
            rule="none",
        ),
        job(
            4,
            method="GET",
            route="/account/settings/notifications/preferences/{id}",
            severity="low",
            category="UI_BUG",
            occurrences=3,
            last_seen=ago(90_000),
            status="snoozed",
            signature_text="Cannot read properties of undefined",
            rule="ui-undefined",
        ),
    ]


def run(ok: bool | None, **changes: Any) -> CommandRun:
    facts: dict[str, Any] = {"ran": ok is not None, "ok": ok, "exit_code": 0 if ok else 1}
    return CommandRun.model_validate(facts | {"duration_s": 2.4} | changes)


def evidence(passed: bool = True, **changes: Any) -> SandboxEvidence:
    after = {"ran": True, "status": 200, "failed": False, "same_signature": False}
    if not passed:
        after = {"ran": True, "status": 500, "failed": True, "same_signature": True}
    facts: dict[str, Any] = {
        "digest": digest("P-1"),
        "base_commit": "77b0e2" + "0" * 34,
        "branch": "sandbox/self-heal/J-1",
        "applies": True,
        "replay_before": ReplayRun(
            ran=True, status=500, failed=True, same_signature=True, duration_ms=38
        ),
        "replay_after": ReplayRun.model_validate(after | {"duration_ms": 41}),
        "tests_before": run(True),
        "tests_after": run(passed, output="" if passed else "E   assert None == 0\n1 failed"),
        "reproduced": True,
        "fixed": passed,
        "changed": passed,
        "passed": passed,
        "verdict": "The failure came back without the patch and is gone with it."
        if passed
        else "The failure is still there with the patch.",
        "against": [] if passed else ["the replayed request fails with the same signature"],
        "started_at": ago(60),
        "duration_s": 12.5,
    }
    return SandboxEvidence.model_validate(facts | changes)


LOOKED_AT = (
    "looked at: 2 files (app/checkout.py, tests/test_checkout.py), 7 changed lines, no SQL, "
    "a bug of kind API_SCHEMA, 3% of the traffic passes here"
)


def patch(number: int = 1, **changes: Any) -> PatchView:
    facts: dict[str, Any] = {
        "id": f"P-{number}",
        "job_id": "J-1",
        "service": "shop",
        "patch_type": "code",
        "description": "An empty cart costs nothing; an unknown country has the general rate.",
        "status": "proposed",
        "digest": digest(f"P-{number}"),
        "created_by": "phill",
        "created_at": ago(300),
        "base_commit": "77b0e2" + "0" * 34,
        "diff": DIFF,
        "files_changed": ["app/checkout.py", "tests/test_checkout.py"],
        "risk": RiskView(
            score=5,
            level="low",
            reasons=["any change can be wrong (5)", LOOKED_AT],
        ),
        "confidence": ConfidenceView(),
        "approvals": [approval(number, "patch_sandbox", patch=number)],
    }
    return PatchView.model_validate(facts | changes)


def approval(
    number: int = 1, item_type: str = "claim", patch: int | None = None, **changes: Any
) -> ApprovalView:
    facts: dict[str, Any] = {
        "id": f"A-{number}",
        "service": "shop",
        "item_type": item_type,
        "status": "pending",
        "summary": f"item {number}",
        "risk": "low",
        "created_by": "phill",
        "created_at": ago(200),
        "expires_at": NOW + timedelta(days=2),
        "digest": digest(f"P-{patch}" if patch else f"A-{number}"),
        "job_id": "J-1" if patch else None,
        "patch_id": f"P-{patch}" if patch else None,
    }
    return ApprovalView.model_validate(facts | changes)


def health(**changes: Any) -> Health:
    wave = [
        3,
        4,
        4,
        5,
        6,
        6,
        7,
        7,
        6,
        6,
        5,
        5,
        6,
        7,
        8,
        8,
        7,
        6,
        6,
        5,
        5,
        5,
        6,
        7,
        6,
        6,
        6,
        7,
        7,
        7,
    ]
    facts: dict[str, Any] = {
        "status": "degraded",
        "score": 87,
        "parts": {"latency": 96.0, "error_rate": 78.0, "availability": 100.0},
        "why": [
            WhyTerm(term="errors", points=9, text="1.8% against 0.3% usual"),
            WhyTerm(term="p99", points=4, text="1.9 s against 0.4 s usual"),
        ],
        "window_s": 300.0,
        "requests": 2010,
        "errors": 36,
        "upstream": {"address": "127.0.0.1:5000", "state": "up"},
        "storage": {"state": "up"},
        "capture": {"state": "on"},
        "service": "shop",
        "environment": "production",
        "version": "0.1.0",
        "uptime_s": 86_400.0,
        "traffic": [
            TrafficMinute(
                at=ago(60 * (30 - i)),
                requests=60 * height,
                errors=0 if i < 19 else height,
                p50_ms=38,
                p95_ms=150 + 10 * height,
                p99_ms=400 if i < 19 else 1900,
            )
            for i, height in enumerate(wave)
        ],
        "open_jobs": {"total": 4, "critical": 1, "high": 1, "medium": 1, "low": 1}
        | {"pending_patches": 2, "pending_approvals": 2, "resolved_7d": 5},
    }
    return Health.model_validate(facts | changes)


def routes() -> list[RouteStats]:
    return [
        RouteStats(
            method="POST",
            route="/checkout",
            requests=742,
            error_rate=0.062,
            p50_ms=120,
            p95_ms=1200,
            p99_ms=1900,
            jobs=["J-1"],
        ),
        RouteStats(
            method="GET",
            route="/orders/{id}",
            requests=5100,
            error_rate=0.006,
            p50_ms=38,
            p95_ms=90,
            p99_ms=240,
            jobs=["J-2"],
        ),
        RouteStats(method="GET", route="/", requests=7, error_rate=0.0, p50_ms=12),
    ]


def anomalies() -> list[AnomalyView]:
    return [
        AnomalyView(
            id="N-1",
            detected_at=ago(660),
            service="shop",
            route="/checkout",
            method="POST",
            type="error_rate_spike",
            severity="high",
            description="6.2% errors against 0.4% usual",
            ratio=15.5,
            samples=214,
        )
    ]


def audit_entry(seq: int, **changes: Any) -> AuditView:
    facts: dict[str, Any] = {
        "seq": seq,
        "at": ago(3600 - seq * 10),
        "actor": "phill",
        "role": "agent",
        "origin": "api",
        "action": "patch.attach",
        "subject": "P-1",
        "before": None,
        "after": {"status": "proposed"},
        "prev_hash": digest(str(seq - 1)),
        "hash": digest(str(seq)),
    }
    return AuditView.model_validate(facts | changes)


def audit() -> list[AuditView]:
    """Newest first, as the API gives them."""
    return [
        audit_entry(
            3,
            actor="founder",
            role="founder",
            action="approval.approve",
            subject="A-1",
            reason="matches the incident",
        ),
        audit_entry(2, actor="selfheal", role="proxy", action="patch.sandbox_passed"),
        audit_entry(1),
    ]


def failure_event(number: int = 1, **changes: Any) -> FailureEvent:
    facts: dict[str, Any] = {
        "id": str(number),
        "at": ago(120),
        "message": "TypeError: unsupported operand type(s) for *: 'NoneType' and 'Decimal'",
        "status": 500,
        "stack": 'File "app/checkout.py", line 21, in total\n    return amount * rate(cart)',
        "trace_id": digest("trace")[:32],
        "request": {"method": "POST", "target": "/checkout", "headers": [["host", "shop"]]},
        "response": {"status": 500},
        "replayable": True,
    }
    return FailureEvent.model_validate(facts | changes)


def alert(kind: AlertKind = "critical_job", subject: str = "J-1", **changes: Any) -> AlertView:
    facts = {
        "kind": kind,
        "subject": subject,
        "severity": "critical",
        "since": ago(120),
        "summary": "DB_ERROR POST /checkout",
    }
    return AlertView.model_validate(facts | changes)


def control() -> ControlView:
    return ControlView(
        version=3,
        rules={
            "auto_approve_sandbox": False,
            "risk": {"max_auto_score": 20, "reviewers": ["founder"]},
            "expiry": {"patch_main_days": 3},
        },
        changed_by="founder",
        changed_at=ago(86_400),
    )
