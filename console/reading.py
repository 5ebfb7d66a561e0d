"""The reading commands: ask the API, print plain text or JSON. Change nothing."""

import argparse
from collections.abc import AsyncIterator

from console import format as text
from console.auditing import audit_line
from console.client import Client
from console.output import as_json, lines, note, say, table
from console.proof import confidence_lines, evidence_lines, risk_lines, verdict_line
from console.wording import (
    because,
    bug_text,
    incident_sentence,
    incident_text,
    item_text,
    over_text,
    reach_text,
    watched_s,
)
from proxy.clock import SystemClock
from proxy.contract.ask import AskAnswer
from proxy.contract.base import parse_id
from proxy.contract.health import Health
from proxy.contract.jobs import JobDetail, JobView
from proxy.contract.patches import PatchView
from proxy.errors import NotFound, UsageError

PAGE = 200


def job_number(shown: str) -> int:
    try:
        return parse_id(shown, "J")
    except ValueError as error:
        raise UsageError(str(error)) from error


def patch_number(shown: str) -> int:
    try:
        return parse_id(shown, "P")
    except ValueError as error:
        raise UsageError(str(error)) from error


# --- jobs ---------------------------------------------------------------------------------------


async def every_job(client: Client, args: argparse.Namespace) -> AsyncIterator[JobView]:
    """Page by page, so that the first lines come at once."""
    status = args.status or ("all" if args.all or args.noise else None)
    cursor: str | None = None
    left = args.limit if args.limit is not None else None
    while left is None or left > 0:
        page = await client.jobs(
            status=status,
            severity=args.severity,
            category=args.category,
            q=args.q,
            noise=args.noise,
            cursor=cursor,
            limit=PAGE if left is None else min(PAGE, left),
        )
        for job in page.jobs:
            if job.noise or not args.noise:
                yield job
        left = None if left is None else left - len(page.jobs)
        cursor = page.next_cursor
        if cursor is None or not page.jobs:
            return


async def jobs(client: Client, args: argparse.Namespace) -> int:
    if args.json:
        async for job in every_job(client, args):
            say(as_json(job))
        return 0
    found = [job async for job in every_job(client, args)]
    if not found:
        note("no job matches" if args.q or args.severity or args.category else "no open job")
        return 0
    now = SystemClock().now()
    table(
        ("id", "severity", "category", "route", "times", "last", "status", "what"),
        [
            (
                job.id,
                text.SEVERITY_MARK[job.severity],
                job.category,
                text.route_name(job.method, job.route),
                text.short_count(job.occurrences),
                text.age(job.last_seen, now),
                _status(job),
                bug_text(job),
            )
            for job in found
        ],
        elastic=7,
    )
    chosen = (args.status, args.severity, args.category, args.q, args.limit, args.all, args.noise)
    hidden = max(job_number(job.id) for job in found) - len(found)
    if hidden and not any(chosen):
        what = text.counted(hidden, "job number")
        note(f"{what} not shown: --all lists what is closed or resolved, --noise what is no bug")
    return 0


def _status(job: JobView) -> str:
    is_over = job.incident_over_since is not None and job.status not in ("resolved", "closed")
    return job.status + (" again" if job.regression else "") + (", over" if is_over else "")


async def show(client: Client, args: argparse.Namespace) -> int:
    detail = await client.job(job_number(args.job))
    if args.json:
        say(as_json(detail))
    else:
        _show_job(detail)
    return 0


def _show_job(detail: JobDetail) -> None:
    job = detail.job
    mark = text.SEVERITY_MARK[job.severity]
    say(f"{job.id}  {mark}  {job.category}  {text.route_name(job.method, job.route)}")
    say(f"  {bug_text(job)}")
    say(f"  {job.status}" + (", a regression" if job.regression else ""))
    if job.snoozed_until is not None:
        say(f"  snoozed until {text.stamp(job.snoozed_until)} UTC")
    say(
        f"  {text.counted(job.occurrences, 'time')}, first {text.stamp(job.first_seen)}, "
        f"last {text.stamp(job.last_seen)} UTC"
    )
    if reach := reach_text(job):
        say(f"  {reach}")
    if over := over_text(job, SystemClock().now()):
        say(f"  {over}")
    say(f"  signature {job.signature}")
    say(f"  rule {job.rule}" + because(job))
    for fact in job.evidence:
        say(f"    · {fact}")
    for incident in detail.anomalies:
        say(f"  {incident_text(incident)}")
    if job.summary:
        say(f"  summary: {job.summary}")
    for event in detail.events[:5]:
        said = f"{event.status or ''} {text.cut(event.message, 160)}"
        say(f"  {event.id:>6}  {text.stamp(event.at)}  {said}")
    for patch in detail.patches:
        say(f"  {patch.id}  {patch.status}  {text.cut(patch.description, 120)}")
    for entry in detail.history[:20]:
        say(f"  {audit_line(entry)}")


# --- patches ------------------------------------------------------------------------------------


async def _all_patches(client: Client) -> list[PatchView]:
    """An older sidecar has no list of patches; its jobs know theirs."""
    try:
        return await client.patches()
    except NotFound:
        page = await client.jobs(limit=PAGE)
        numbers = [patch_number(shown) for job in page.jobs for shown in job.patches]
        return [await client.patch(number) for number in numbers]


async def patches(client: Client, args: argparse.Namespace) -> int:
    if args.job is not None:
        found = (await client.job(job_number(args.job))).patches
    else:
        found = await _all_patches(client)
    if args.json:
        lines(found)
    elif not found:
        note("no patch yet; `selfheal attach J-1 --diff FILE` brings one")
    else:
        table(
            ("id", "job", "status", "risk", "by", "files", "description"),
            [
                (
                    patch.id,
                    patch.job_id,
                    patch.status,
                    patch.risk.level,
                    patch.created_by,
                    ", ".join(patch.files_changed) or "–",
                    patch.description,
                )
                for patch in found
            ],
            elastic=6,
        )
    return 0


async def diff(client: Client, args: argparse.Namespace) -> int:
    patch = await client.patch(patch_number(args.patch))
    if args.json:
        say(as_json(patch))
        return 0
    note(f"{patch.id} of {patch.job_id}, {patch.status}, digest {patch.digest}")
    for line in [*risk_lines(patch.risk), *confidence_lines(patch.confidence)]:
        note("  " + text.plain(line))
    if patch.diff:
        say(patch.diff.removesuffix("\n"))
    if patch.sql:
        note("SQL migration:")
        say(patch.sql.removesuffix("\n"))
    for line in evidence_lines(patch, by=f"`selfheal sandbox {patch.id}`"):
        note("  " + text.plain(line))
    if patch.evidence is not None:
        note("  " + text.plain(verdict_line(patch.evidence)))
    return 0


# --- what is going on ---------------------------------------------------------------------------


async def health(client: Client, args: argparse.Namespace) -> int:
    now = await client.health()
    if args.json:
        say(as_json(now))
    else:
        _show_health(now)
    return 0


def _show_health(health: Health) -> None:
    score = "no score yet" if health.score is None else f"{health.score} / 100"
    where = f"{health.service} {text.environment_badge(health.environment)}"
    say(f"{where}  {score}  {health.status.upper()}")
    for term in health.why:
        say(f"  {term.term} -{abs(term.points):g}: {term.text}")
    share = health.errors / health.requests if health.requests else None
    window = text.seconds(watched_s(health))
    requests = text.counted(health.requests, "request")
    say(f"  last {window}: {requests}, {text.percent(share)} errors")
    total = health.open_jobs.get("total", 0)
    waiting = health.open_jobs.get("pending_approvals", 0)
    say(f"  {text.counted(total, 'open job')}, {text.counted(waiting, 'approval')} waiting")
    say(f"  version {health.version or '?'}, up {text.seconds(health.uptime_s)}")


async def routes(client: Client, args: argparse.Namespace) -> int:
    found = await client.routes()
    if args.json:
        lines(found)
        return 0
    if not found:
        note("no traffic yet: is the sidecar in the path?")
        return 0
    table(
        ("route", "requests", "errors", "p50", "p95", "p99", "jobs"),
        [
            (
                text.route_name(route.method, route.route),
                text.count(route.requests),
                text.percent(route.error_rate),
                text.ms(route.p50_ms),
                text.ms(route.p95_ms),
                text.ms(route.p99_ms),
                " ".join(route.jobs),
            )
            for route in found
        ],
        elastic=0,
    )
    note(f"over the last {text.seconds(found[0].window_s)}")
    return 0


async def anomalies(client: Client, args: argparse.Namespace) -> int:
    found = await client.anomalies()
    if args.json:
        lines(found)
        return 0
    if not found:
        note("no anomaly")
        return 0
    table(
        ("detected (UTC)", "severity", "type", "route", "what"),
        [
            (
                text.stamp(item.detected_at),
                text.SEVERITY_MARK[item.severity],
                item.type
                + (" (part)" if item.part_of else "")
                + (" (over)" if item.resolved else ""),
                text.route_name(item.method, item.route),
                incident_sentence(item),
            )
            for item in found
        ],
        elastic=4,
    )
    return 0


async def approvals(client: Client, args: argparse.Namespace) -> int:
    found = await client.approvals("all" if args.all else None)
    if args.json:
        lines(found)
        return 0
    if not found:
        note("nothing waits for you")
        return 0
    table(
        ("id", "type", "status", "risk", "by", "for", "summary"),
        [
            (
                item.id,
                item.item_type,
                item.status,
                item.risk,
                item.created_by,
                item.patch_id or item.job_id or "–",
                item_text(item),
            )
            for item in found
        ],
        elastic=6,
    )
    return 0


# --- Phill --------------------------------------------------------------------------------------


async def ask(client: Client, args: argparse.Namespace) -> int:
    return _answer(await client.ask(" ".join(args.text)), as_data=args.json)


async def digest(client: Client, args: argparse.Namespace) -> int:
    return _answer(await client.ask("digest"), as_data=args.json)


def _answer(answer: AskAnswer, *, as_data: bool) -> int:
    if as_data:
        say(as_json(answer))
        return 0
    say(answer.answer)
    if answer.citations:
        note("cites " + " ".join(citation.id for citation in answer.citations))
    for suggestion in answer.suggested:
        note(f"  → {suggestion}")
    note(f"by {answer.model}" if answer.model else "no model: facts only")
    return 0
