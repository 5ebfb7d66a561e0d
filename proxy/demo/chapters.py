"""The headless story, chapter by chapter. Each chapter does one thing by public commands and checks
that it happened.

A check that fails is a ``SelfHealError`` whose sentence says what was expected and what was seen.
"""

import asyncio
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from proxy.clock import SystemClock
from proxy.demo.patches import BROKEN_ROUTE, Kind, Proposal, make_diffs
from proxy.demo.stage import VERIFY_S, Say, Stage
from proxy.domain.failure import Category
from proxy.errors import SelfHealError

JOBS_TIMEOUT_S = 45.0
SANDBOX_WAIT_S = 90
RESTART_TIMEOUT_S = 20.0
RESOLVED_TIMEOUT_S = VERIFY_S + 30.0
VISITS_AFTER = 5
POLL_S = 0.4

_CATEGORIES = [category.value for category in Category if category is not Category.UNKNOWN]
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Tried:
    """One proposal with what the sandbox found."""

    id: str
    kind: Kind
    reproduced: bool
    fixed: bool
    changed: bool
    digest: str
    status: str


@dataclass(slots=True)
class Result:
    """The last line of ``--json``, field by field as the contract names them."""

    data_dir: str
    repo: str
    database_url: str
    jobs: list[dict[str, str]] = field(default_factory=list)
    patches: list[dict[str, Any]] = field(default_factory=list)
    decision: str = ""
    main_before: str = ""
    main_after: str = ""
    audit_ok: bool = False
    silent_after: bool = False

    def as_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


async def tell(stage: Stage, say: Say) -> Result:
    """All chapters in order. Returns only when every one of them was seen to happen."""
    result = Result(str(stage.data_dir), str(stage.repo), stage.database_url)
    jobs = await every_category(stage, say)
    result.jobs = [{key: job[key] for key in ("id", "category", "signature")} for job in jobs]
    bug = next(job for job in jobs if job["category"] == Category.API_SCHEMA)
    _check_jail()
    tried = [
        await _prove(stage, kind, patch, say) for kind, patch in await attach_proposals(stage, say)
    ]
    result.patches = [
        {key: getattr(one, key) for key in ("id", "kind", "reproduced", "fixed", "changed")}
        for one in tried
    ]
    chosen = _the_proven_one(tried)
    result.main_before = stage.main_commit()
    result.decision = await _approve(stage, chosen, result.main_before, say)
    result.main_after = await _apply(stage, chosen, result.main_before, say)
    result.silent_after = await _silence(stage, bug["id"], say)
    result.audit_ok = await _audit(stage, say)
    return result


# --- jobs ---------------------------------------------------------------------------------------


async def every_category(stage: Stage, say: Say) -> list[dict[str, Any]]:
    """Wait until each of the eight categories has a job;

    one job each, in the order of their ids.
    """
    found: dict[str, dict[str, Any]] = {}
    deadline = _CLOCK.monotonic() + JOBS_TIMEOUT_S
    while len(found) < len(_CATEGORIES):
        for job in await stage.sidecar.ask("jobs", "--all"):
            if job["category"] in _CATEGORIES and found.setdefault(job["category"], job) is job:
                what = job["signature_text"].removeprefix(f"{job['category']} | ")
                say(f"{job['id']} {job['category']}: {_place(job)}, {what[:90]}")
        if _CLOCK.monotonic() > deadline:
            missing = ", ".join(name for name in _CATEGORIES if name not in found)
            raise SelfHealError(
                f"in {JOBS_TIMEOUT_S:.0f} s of traffic no job appeared for: {missing}"
            )
        await asyncio.sleep(POLL_S)
    say("Every kind of failure this shop has is now a job, each once, however often it fires.")
    return sorted(found.values(), key=lambda job: int(job["id"].partition("-")[2]))


def _place(job: dict[str, Any]) -> str:
    return " ".join(word for word in (job.get("method"), job.get("route")) if word) or "in the page"


# --- patches ------------------------------------------------------------------------------------


async def attach_proposals(stage: Stage, say: Say) -> list[tuple[Kind, dict[str, Any]]]:
    """Send the three patches as anybody could: a file, a base commit, a sentence."""
    job = await _bug_job(stage)
    sent: list[tuple[Kind, dict[str, Any]]] = []
    base = stage.main_commit()
    for proposal, file in await asyncio.to_thread(_write_diffs, stage):
        words = ("--diff", str(file), "--base", base, "--description", proposal.description)
        (patch,) = await stage.sidecar.ask("attach", job["id"], *words)
        say(f"{patch['id']} arrives for {job['id']}: {proposal.description}")
        sent.append((proposal.kind, patch))
    return sent


def _write_diffs(stage: Stage) -> list[tuple[Proposal, Path]]:
    """Each proposal as a file somebody could have sent;

    the names say nothing of what it is worth.
    """
    written: list[tuple[Proposal, Path]] = []
    for number, (proposal, diff) in enumerate(make_diffs(stage.repo), start=1):
        file = stage.data_dir / f"proposal-{number}.diff"
        file.write_text(diff, "utf-8")
        written.append((proposal, file))
    return written


async def _bug_job(stage: Stage) -> dict[str, Any]:
    """The job of the gift card: the bug a plain GET shows again without any database."""
    deadline = _CLOCK.monotonic() + JOBS_TIMEOUT_S
    while _CLOCK.monotonic() < deadline:
        for job in await stage.sidecar.ask("jobs", "--category", Category.API_SCHEMA.value):
            return dict(job)
        await asyncio.sleep(POLL_S)
    raise SelfHealError(f"{BROKEN_ROUTE} fails, but no {Category.API_SCHEMA} job appeared")


def _check_jail() -> None:
    """Patched code is foreign code:

    without its jail it is not run, and the story ends at the gate.
    """
    if shutil.which("bwrap") is None:
        raise SelfHealError(
            "the story stops at gate `sandbox`: a patch only runs inside bubblewrap, which is not"
            " installed; install it (Debian: apt-get install bubblewrap) and start again"
        )


async def _prove(stage: Stage, kind: Kind, patch: dict[str, Any], say: Say) -> Tried:
    """Pass gate `sandbox` for exactly this digest;

    the verdict is read from the patch, not from the exit code.
    """
    name, digest = patch["id"], patch["digest"]
    words = ("sandbox", name, "--yes-digest", digest, "--wait", str(SANDBOX_WAIT_S))
    code, found, errors = await stage.sidecar.run(*words)
    if code not in (0, 1) or not found:
        raise SelfHealError(f"`selfheal sandbox {name}` ended with {code}: {errors}")
    after = found[-1]
    evidence = after.get("evidence")
    if not evidence:
        raise SelfHealError(
            f"{name} left the sandbox as {after['status']} without evidence: {errors}"
        )
    say(f"{name} in the sandbox: {evidence['verdict']}")
    facts = {key: bool(evidence[key]) for key in ("reproduced", "fixed", "changed")}
    return Tried(name, kind, **facts, digest=digest, status=after["status"])


def _the_proven_one(tried: list[Tried]) -> Tried:
    """The only patch whose proof passed, which must be the right one;

    the others must have been told apart.
    """
    for one in tried:
        expected = (True, one.kind == "right")
        if (one.reproduced, one.fixed) != expected:
            raise SelfHealError(
                f"{one.id} ({one.kind}): expected reproduced and fixed to be {expected}, the"
                f" sandbox says {(one.reproduced, one.fixed)} and leaves it {one.status}"
            )
    passed = [one for one in tried if one.status == "sandbox_passed"]
    if len(passed) != 1 or passed[0].kind != "right":
        names = ", ".join(f"{one.id} ({one.kind})" for one in passed) or "none"
        raise SelfHealError(f"exactly the right patch should have passed; passed: {names}")
    return passed[0]


# --- the founder's decision ---------------------------------------------------------------------


async def _approve(stage: Stage, patch: Tried, before: str, say: Say) -> str:
    """Gate `main`. An approval of its own, and MAIN does not move by it."""
    await stage.sidecar.ask("approve", patch.id, "--yes-digest", patch.digest)
    (view,) = await stage.sidecar.ask("diff", patch.id)
    decided = [
        approval["id"]
        for approval in view["approvals"]
        if approval["item_type"] == "patch_main" and approval["status"] == "approved"
    ]
    if view["status"] != "approved" or len(decided) != 1:
        raise SelfHealError(f"{patch.id} was approved, but it is {view['status']} with {decided}")
    if stage.main_commit() != before:
        raise SelfHealError("MAIN moved by an approval; only an apply may move it")
    say(f"{patch.id} is approved ({decided[0]}). Nothing has moved yet.")
    return str(decided[0])


async def _apply(stage: Stage, patch: Tried, before: str, say: Say) -> str:
    """A deed of its own:

    MAIN moves forward by exactly this patch, and the shop restarts with it.
    """
    restarts = stage.host.restarts
    await stage.sidecar.ask("apply", patch.id, "--yes-digest", patch.digest)
    after = stage.main_commit()
    if after == before:
        raise SelfHealError(f"{patch.id} was applied, but MAIN still stands at {before[:12]}")
    deadline = _CLOCK.monotonic() + RESTART_TIMEOUT_S
    while stage.host.restarts == restarts:
        if _CLOCK.monotonic() > deadline:
            raise SelfHealError("MAIN moved, but repo.after_apply did not restart the shop")
        await asyncio.sleep(POLL_S)
    say(f"MAIN moved from {before[:12]} to {after[:12]}; the shop runs the new code.")
    return after


# --- afterwards ---------------------------------------------------------------------------------


async def _silence(stage: Stage, job_id: str, say: Say) -> bool:
    """Under live traffic the failure stays away until the job counts as resolved."""
    count = (await _job(stage, job_id))["occurrences"]
    await _visit(stage)
    deadline = _CLOCK.monotonic() + RESOLVED_TIMEOUT_S
    while (job := await _job(stage, job_id))["status"] != "resolved":
        if _CLOCK.monotonic() > deadline:
            raise SelfHealError(f"{job_id} is still {job['status']} after the apply, not resolved")
        await asyncio.sleep(POLL_S)
    await _visit(stage)
    if job["occurrences"] != count or job["regression"]:
        raise SelfHealError(
            f"{job_id} fired again after the apply: {job['occurrences'] - count} times"
        )
    say(f"{job_id} is resolved: its failure stayed away while visitors went on asking for it.")
    return True


async def _visit(stage: Stage) -> None:
    """The very request that failed, through the proxy, several times; it must work."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        for _ in range(VISITS_AFTER):
            async with session.get(stage.sidecar.data_url + BROKEN_ROUTE) as answer:
                if answer.status != 200:
                    raise SelfHealError(f"GET {BROKEN_ROUTE} still answers {answer.status}")


async def _job(stage: Stage, job_id: str) -> dict[str, Any]:
    (detail,) = await stage.sidecar.ask("show", job_id)
    return dict(detail["job"])


async def _audit(stage: Stage, say: Say) -> bool:
    (verdict,) = await stage.sidecar.ask("audit", "verify")
    if not verdict["ok"]:
        raise SelfHealError(f"the audit chain breaks at entry {verdict.get('first_bad')}")
    say(f"The audit chain holds, all {verdict['entries']} entries of it.")
    return True
