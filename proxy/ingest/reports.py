"""The browser's own reports (Reporting API, and the older CSP form) → ``Failure``.

A report is ``{"type", "age" ms, "url", "user_agent", "body": {…}}``, several in one list. Source:
W3C Reporting API, CSP Level 3, Network Error Logging, and WICG crash reporting. Pure.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from proxy.domain.failure import Failure
from proxy.ingest.event import Context, url_path
from proxy.ingest.fields import as_dict, as_number, as_text
from proxy.ingest.limits import EVENT_AGE_S_MAX, WORD_CHARS_MAX


def report_failure(report: dict[str, Any], context: Context) -> Failure | None:
    """None for a kind of report that tells of no failure. Never raises."""
    describe = _KINDS.get(as_text(report.get("type"), 64))
    if describe is None:
        return None
    body = as_dict(report.get("body"))
    url = as_text(report.get("url"), 2048) or _first(body, "documentURL", "document-uri")
    age_s = min(max(as_number(report.get("age")), 0) / 1000, EVENT_AGE_S_MAX)
    route = url_path(url)
    status = as_number(body.get("status_code"))
    return Failure(
        service=context.service,
        environment=context.environment,
        occurred_at=context.now - timedelta(seconds=age_s),
        message=context.clean(describe(body)),
        source_kind="browser",
        method=as_text(body.get("method"), 20).upper() or None,
        route=context.clean_or_none(route),
        status=status if 100 <= status <= 999 else None,
        stack=context.clean_or_none(_place(body)),
        client=context.client,
        user_agent=context.clean_or_none(as_text(report.get("user_agent"), WORD_CHARS_MAX)),
        origin="report",
    )


def csp_report(document: dict[str, Any]) -> dict[str, Any] | None:
    """The older ``{"csp-report": {…}}`` in the shape of the newer one; None if it is none."""
    body = document.get("csp-report")
    return {"type": "csp-violation", "body": body} if isinstance(body, dict) else None


def _csp(body: dict[str, Any]) -> str:
    directive = _first(body, "effectiveDirective", "effective-directive", "violated-directive")
    blocked = _first(body, "blockedURL", "blocked-uri") or "inline"
    # a URL's path and query differ with every visitor; its origin names the culprit
    origin = "/".join(blocked.split("/")[:3])
    return f"Content Security Policy: {directive or 'a directive'} blocked {origin}"


def _network(body: dict[str, Any]) -> str:
    phase = _first(body, "phase") or "connection"
    return f"Network error {_first(body, 'type') or 'unknown'} in phase {phase}"


def _crash(body: dict[str, Any]) -> str:
    return f"Browser tab crashed: {_first(body, 'reason') or 'unknown reason'}"


def _noted(word: str) -> Callable[[dict[str, Any]], str]:
    def message(body: dict[str, Any]) -> str:
        return (
            f"{word} {_first(body, 'id', 'policyId', 'type')}: {_first(body, 'message', 'reason')}"
        )

    return message


_KINDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "csp-violation": _csp,
    "network-error": _network,
    "crash": _crash,
    "deprecation": _noted("Deprecation"),
    "intervention": _noted("Browser intervention"),
    "permissions-policy-violation": _noted("Permissions policy violation"),
    "integrity-violation": _noted("Integrity violation"),
}


def _first(body: dict[str, Any], *names: str) -> str:
    return next((text for name in names if (text := as_text(body.get(name), 1024))), "")


def _place(body: dict[str, Any]) -> str | None:
    source = url_path(_first(body, "sourceFile", "source-file"))
    line = as_number(body.get("lineNumber") or body.get("line-number"))
    return f"    at {source}:{line}" if source else None
