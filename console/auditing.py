"""The audit from the command line: read it, export it, check its chain. Changes nothing."""

import argparse

from console import format as text
from console.client import Client
from console.output import as_json, lines, note, say
from console.wording import step_text
from proxy.contract.audit import AuditView

PAGE = 200
SHOWN = 50
PAGES_MAX = 100_000


def audit_line(entry: AuditView) -> str:
    step = text.cut(step_text(entry), 120)
    why = f"  {step}" if step else ""
    who = f"{entry.actor} ({entry.role})"
    return f"#{entry.seq}  {text.stamp(entry.at)}  {who}  {entry.action}  {entry.subject}{why}"


async def audit_list(client: Client, args: argparse.Namespace) -> int:
    page = await client.audit(limit=args.limit or SHOWN, q=args.q)
    if args.json:
        lines(page.entries)
    else:
        for entry in page.entries:
            say(audit_line(entry))
        note(f"{len(page.entries)} of {text.count(page.total)} entries, newest first")
    return 0


async def _whole_chain(client: Client) -> list[AuditView]:
    """Oldest first, as the chain was made; the pages come newest first, so they are gathered."""
    entries: list[AuditView] = []
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = await client.audit(limit=PAGE, cursor=cursor)
        entries.extend(page.entries)
        cursor = page.next_cursor
        if cursor is None or not page.entries:
            break
    return sorted(entries, key=lambda entry: entry.seq)


async def audit_export(client: Client, _: argparse.Namespace) -> int:
    entries = await _whole_chain(client)
    lines(entries)
    note(f"{text.count(len(entries))} entries")
    return 0


async def audit_fetch(client: Client, args: argparse.Namespace) -> int:
    """The chain into an open file, for a check on this side."""
    for entry in await _whole_chain(client):
        args.into.write(as_json(entry) + "\n")
    args.into.flush()
    return 0


async def audit_verify(client: Client, args: argparse.Namespace) -> int:
    verdict = await client.verify_audit()
    if args.json:
        say(as_json(verdict))
    elif verdict.ok:
        say(
            f"✓ {text.counted(verdict.entries, 'entry', 'entries')}, chain unbroken, "
            f"head {verdict.head}"
        )
    else:
        say(f"✗ the chain breaks at entry #{verdict.first_bad}")
    return 0 if verdict.ok else 1
