"""What must be seen, from the command line: read it, acknowledge it, and break the glass."""

import argparse

from console import format as text
from console.client import Client
from console.deeds import new_key, plan_break_glass
from console.doing import confirm, environment_of, planned
from console.output import as_json, note, say, table
from console.reading import patch_number
from console.signing import sign
from console.wording import ALERT_SAYS
from proxy.clock import SystemClock
from proxy.contract.alerts import AcknowledgeRequest, AlertView
from proxy.contract.patches import BreakGlassRequest
from proxy.errors import NotFound, UsageError


async def alerts(client: Client, args: argparse.Namespace) -> int:
    found = await client.alerts()
    if args.json:
        for alert in found:
            say(as_json(alert))
        return 0
    if not found:
        note("nothing waits to be acknowledged")
        return 0
    now = SystemClock().now()
    rows = [
        (
            alert.subject,
            text.SEVERITY_MARK[alert.severity],
            ALERT_SAYS[alert.kind],
            text.age(alert.since, now),
            _summary(alert),
        )
        for alert in found
    ]
    table(("id", "severity", "what", "since", "about"), rows, elastic=4)
    note("`selfheal acknowledge ID` when you have seen it")
    return 0


def _summary(alert: AlertView) -> str:
    if alert.expires_at is None:
        return alert.summary
    return f"{alert.summary} (expires {text.stamp(alert.expires_at)} UTC)"


async def acknowledge(client: Client, args: argparse.Namespace) -> int:
    subject = args.subject.strip().upper()
    waiting = [alert for alert in await client.alerts() if alert.subject == subject]
    if not waiting:
        raise NotFound(f"nothing waits at {subject}; `selfheal alerts` lists what does")
    left: list[AlertView] = []
    for alert in waiting:
        body = AcknowledgeRequest(kind=alert.kind, subject=alert.subject, note=args.note[:2000])
        left = await client.acknowledge(body)
    if args.json:
        for alert in left:
            say(as_json(alert))
    else:
        say(f"{subject} is acknowledged; {text.counted(len(left), 'alert')} left")
    return 0


async def break_glass(client: Client, args: argparse.Namespace) -> int:
    if len(args.reason.strip()) < 10:
        raise UsageError("--reason says in at least ten characters why there is no proof")
    patch = await client.patch(patch_number(args.patch))
    plan = planned(plan_break_glass(patch, await environment_of(client)))
    digest, interactive = confirm(plan, args.yes_digest, asks=True)
    assert plan.patch is not None, "a deed on a patch knows its patch"
    body = BreakGlassRequest(
        digest=digest,
        idempotency_key=new_key(),
        reason=args.reason.strip(),
        interactive=interactive,
        signature=None if args.sign is None else sign(args.sign, patch),
    )
    done = await client.break_glass(plan.patch, body)
    say(as_json(done.patch) if args.json else done.message)
    note(f"nothing has moved yet; next: selfheal apply {patch.id}")
    return 0
