"""The founder's deeds from the command line: plan, confirm, send, wait, say what really
happened."""

import argparse
import asyncio
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

from console import format as text
from console.client import Client, Deed
from console.deeds import (
    CannotDo,
    Plan,
    new_key,
    number_of,
    plan_apply,
    plan_approve,
    plan_item,
    plan_reject,
    plan_rollback,
    plan_sandbox,
)
from console.output import as_json, note, say
from console.proof import evidence_lines, failed_output, verdict_line
from console.reading import job_number, patch_number
from console.sending import send_decision, send_deed
from console.signing import sign
from console.wording import in_words
from proxy.clock import Clock, SystemClock
from proxy.contract.approvals import ApprovalView
from proxy.contract.base import parse_id
from proxy.contract.jobs import JobView
from proxy.contract.patches import AttachPatchRequest, DeedRequest, PatchView
from proxy.errors import Conflict, Invalid, NotFound, SelfHealError, UsageError

WAIT_SLICE_S = 20.0
"""How long one call may hang on the server before the state is read again."""
POLL_S = 0.5
FILE_BYTES_MAX = 1_000_000

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"(\d+)([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Declined(SelfHealError):
    """The person did not confirm; nothing was sent."""


# --- confirming ---------------------------------------------------------------------------------


def confirm(plan: Plan, yes_digest: str | None, *, asks: bool) -> tuple[str, bool]:
    """The digest to send, and whether a person at a terminal said so.

    Raises ``UsageError`` where nobody can be asked, ``Declined`` when the typed number is another
    one.
    """
    if yes_digest is not None:
        if not _DIGEST.fullmatch(yes_digest):
            raise UsageError("--yes-digest takes the whole digest, 64 hex digits; `diff` shows it")
        return yes_digest, False
    at_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if not asks:
        return plan.digest, at_terminal
    if not at_terminal:
        raise UsageError(
            f"{plan.verb} asks for the typed job number and nobody is at a terminal; "
            f"answer with --yes-digest {plan.digest}"
        )
    note(plan.title)
    for line in plan.lines:
        note("  " + line)
    sys.stderr.write(f"Type {plan.typed} to {plan.verb}, anything else does nothing: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != plan.typed:
        raise Declined("not confirmed; nothing was done")
    return plan.digest, True


def planned(plan: Plan | CannotDo) -> Plan:
    """``Conflict`` where it cannot be done, with the command that comes first."""
    if isinstance(plan, CannotDo):
        first = f"; run `selfheal {plan.first} {plan.subject}`" if plan.first else ""
        raise Conflict(plan.why + first, code="not_now")
    return plan


async def environment_of(client: Client) -> str:
    """For the wording of a question only: a deed does not depend on the health page."""
    try:
        return (await client.health()).environment
    except SelfHealError:
        return ""


# --- patches ------------------------------------------------------------------------------------


async def sandbox(client: Client, args: argparse.Namespace) -> int:
    """0 only when the proof passed for exactly this patch."""
    before = await client.patch(patch_number(args.patch))
    plan = planned(plan_sandbox(before))
    digest, interactive = confirm(plan, args.yes_digest, asks=False)
    note(f"{before.id} is in the sandbox …")
    after = await _perform(client, plan, "sandbox", digest, interactive, args, _proved(before))
    if args.json:
        say(as_json(after))
    else:
        _show_proof(after)
    return 0 if after.status == "sandbox_passed" else 1


def _proved(before: PatchView) -> Callable[[PatchView], bool]:
    """A run is over when its evidence is a new one, or the patch has left the gate another way."""
    old = before.evidence.started_at if before.evidence else None

    def over(now: PatchView) -> bool:
        if now.status in ("sandbox_passed", "sandbox_failed"):
            new = now.evidence.started_at if now.evidence else None
            return new != old
        return now.status not in ("proposed", "sandbox_running")

    return over


def _show_proof(patch: PatchView) -> None:
    for line in evidence_lines(patch, by=f"`selfheal sandbox {patch.id}`"):
        say("  " + text.plain(line))
    if patch.evidence is not None:
        for output in failed_output(patch.evidence):
            say(f"    | {output}")
        say(text.plain(verdict_line(patch.evidence)))
    if patch.status == "sandbox_passed":
        note(f"next: selfheal approve {patch.id}")


async def apply(client: Client, args: argparse.Namespace) -> int:
    before = await client.patch(patch_number(args.patch))
    plan = planned(plan_apply(before, await environment_of(client)))
    digest, interactive = confirm(plan, args.yes_digest, asks=True)
    after = await _perform(
        client, plan, "apply", digest, interactive, args, lambda now: now.status != "approved"
    )
    done = after.status in ("applied", "verified")
    if args.json:
        say(as_json(after))
    elif done:
        say(f"{after.id} is on MAIN: commit {text.short_digest(after.applied_commit)}")
        note(f"its failure is being watched; `selfheal rollback {after.id}` takes it back")
    else:
        say(f"{after.id} was not applied; it is {in_words(after.status)}")
    return 0 if done else 1


async def rollback(client: Client, args: argparse.Namespace) -> int:
    before = await client.patch(patch_number(args.patch))
    plan = planned(plan_rollback(before, await environment_of(client)))
    digest, interactive = confirm(plan, args.yes_digest, asks=True)
    over = lambda now: now.status not in ("applied", "verified", "regressed")  # noqa: E731 - as above
    after = await _perform(client, plan, "rollback", digest, interactive, args, over)
    done = after.status == "rolled_back"
    if args.json:
        say(as_json(after))
    else:
        say(f"{after.id} is {in_words(after.status)}")
    return 0 if done else 1


async def _perform(
    client: Client,
    plan: Plan,
    deed: Deed,
    digest: str,
    interactive: bool,
    args: argparse.Namespace,
    over: Callable[[PatchView], bool],
    clock: Clock | None = None,
) -> PatchView:
    """Send once, then read until it is over; no answer means asking again with the same key."""
    clock = clock or SystemClock()
    body = DeedRequest(
        digest=digest,
        idempotency_key=new_key(),
        evidence_digest=plan.evidence_digest,
        reason=getattr(args, "reason", None),
        interactive=interactive,
    )
    assert plan.patch is not None, "a deed on a patch knows its patch"
    deadline = clock.monotonic() + args.wait
    result = await send_deed(
        client, plan.patch, deed, body, wait_s=min(WAIT_SLICE_S, args.wait), tell=note
    )
    if not result.ok:
        raise Conflict(result.message, code="refused")
    patch = result.patch
    while not over(patch):
        if clock.monotonic() >= deadline:
            raise SelfHealError(
                f"{patch.id} is still {patch.status} after {args.wait:g} s; "
                f"`selfheal diff {patch.id}` shows how it went"
            )
        await asyncio.sleep(POLL_S)
        patch = await client.patch(plan.patch)
    return patch


# --- decisions ----------------------------------------------------------------------------------


async def approve(client: Client, args: argparse.Namespace) -> int:
    return await _decide(client, args, "approve")


async def reject(client: Client, args: argparse.Namespace) -> int:
    return await _decide(client, args, "reject")


async def _decide(
    client: Client, args: argparse.Namespace, verb: Literal["approve", "reject"]
) -> int:
    plan = planned(await _plan_decision(client, args.item, verb))
    digest, interactive = confirm(plan, args.yes_digest, asks=plan.tier == 3)
    signature = await _signature(client, plan, getattr(args, "sign", None))
    outcome = await send_decision(
        client,
        plan,
        signature=signature,
        digest=digest,
        interactive=interactive,
        reason=args.reason,
        keep_open=getattr(args, "keep_open", False),
    )
    if args.json and (shown := outcome.approval or outcome.patch) is not None:
        say(as_json(shown))
    else:
        say(outcome.message)
    if verb == "reject" and outcome.patch is not None:
        job = (await client.job(number_of(outcome.patch.job_id))).job
        note(f"{job.id} is {in_words(job.status)}")
    if verb == "approve" and plan.patch is not None and outcome.ok:
        note(f"nothing has moved yet; next: selfheal apply {plan.subject}")
    return 0 if outcome.ok else 1


async def _signature(client: Client, plan: Plan, key_file: str | None) -> str | None:
    """Over what stands now; a patch that changed since it was shown is refused by its digest."""
    if key_file is None:
        return None
    if plan.patch is None:
        raise UsageError("--sign is for a patch at gate main")
    return sign(key_file, await client.patch(plan.patch))


async def _plan_decision(
    client: Client, shown: str, verb: Literal["approve", "reject"]
) -> Plan | CannotDo:
    environment = await environment_of(client)
    if shown.strip()[:1] in ("A", "a"):
        item = await _item(client, shown)
        # A patch at gate main is judged as the patch it is, with its proof in the question.
        if item.item_type != "patch_main" or item.patch_id is None:
            return plan_item(item, verb, environment)
        shown = item.patch_id
    patch = await client.patch(patch_number(shown))
    return plan_approve(patch, environment) if verb == "approve" else plan_reject(patch)


async def _item(client: Client, shown: str) -> ApprovalView:
    try:
        number = parse_id(shown, "A")
    except ValueError as error:
        raise UsageError(str(error)) from error
    for item in await client.approvals("all"):
        if item.id == f"A-{number}":
            return item
    raise NotFound(f"there is no A-{number}; `selfheal approvals --all` lists them")


# --- care of jobs -------------------------------------------------------------------------------


def parse_duration(shown: str) -> timedelta:
    """``90s``, ``30m``, ``2h``, ``1d12h``."""
    parts = _TIME.findall(shown)
    if not parts or "".join(n + u for n, u in parts) != shown or len(shown) > 12:
        raise UsageError(f"{shown!r} is no length of time; write 30m, 2h or 1d")
    total = sum(int(n) * _UNIT_S[u] for n, u in parts)
    if not 0 < total <= 366 * 86_400:
        raise UsageError("snooze for more than nothing and at most a year")
    return timedelta(seconds=total)


def _said(job: JobView, args: argparse.Namespace, sentence: str) -> int:
    say(as_json(job) if args.json else sentence)
    return 0


async def snooze(client: Client, args: argparse.Namespace) -> int:
    until = SystemClock().now() + parse_duration(args.duration)
    number = job_number(args.job)
    job = await client.set_status(number, "snoozed", reason=args.reason, until=until)
    return _said(job, args, f"{job.id} is left alone until {text.stamp(until)} UTC")


async def close(client: Client, args: argparse.Namespace) -> int:
    job = await client.set_status(job_number(args.job), "closed", reason=args.reason)
    return _said(job, args, f"{job.id} is {job.status}")


async def reopen(client: Client, args: argparse.Namespace) -> int:
    job = await client.set_status(job_number(args.job), "open", reason=args.reason)
    return _said(job, args, f"{job.id} is {job.status}")


async def merge(client: Client, args: argparse.Namespace) -> int:
    keep, other = job_number(args.job), job_number(args.other)
    job = await client.merge(keep, other, args.reason)
    return _said(
        job, args, f"J-{other} is part of {job.id} now, with {job.occurrences} occurrences"
    )


async def split(client: Client, args: argparse.Namespace) -> int:
    job = await client.split(job_number(args.job), args.event, args.reason)
    return _said(job, args, f"{job.id} stands for it now: {job.signature_text}")


async def deploy(client: Client, args: argparse.Namespace) -> int:
    made = await client.deploy(args.version)
    if args.json:
        say(as_json(made))
        return 0
    named = f" {made.version}" if made.version else ""
    say(f"deploy{named} of {made.service} marked at {text.stamp(made.at)} UTC")
    return 0


async def attach(client: Client, args: argparse.Namespace) -> int:
    if args.diff is None and args.sql is None:
        raise UsageError("attach wants --diff FILE or --sql FILE")
    request = AttachPatchRequest(
        patch_type=args.patch_type,
        description=args.description[:8000],
        diff=_file(args.diff),
        sql=_file(args.sql),
        base_commit=_commit(args.base),
    )
    patch = await client.attach(job_number(args.job), request)
    if args.json:
        say(as_json(patch))
    else:
        say(f"{patch.id} is attached to {patch.job_id}: risk {patch.risk.level}")
        note(f"next: selfheal sandbox {patch.id}")
    return 0


def _commit(shown: str | None) -> str | None:
    if shown is not None and not re.fullmatch(r"[0-9a-f]{7,64}", shown):
        raise UsageError("--base takes a commit id, 7 to 64 hex digits")
    return shown


def _file(name: str | None) -> str | None:
    if name is None:
        return None
    try:
        if name == "-":
            raw = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        else:
            with Path(name).open("rb") as file:
                raw = file.read(FILE_BYTES_MAX + 1)
        content = raw.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{name} is not UTF-8 text", code="not_text") from error
    if len(raw) > FILE_BYTES_MAX:
        raise Invalid(f"{name} is longer than {FILE_BYTES_MAX} bytes", code="too_long")
    return content
