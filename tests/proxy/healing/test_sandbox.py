"""Real git, real bubblewrap, a real app: what the sandbox says of right, wrong and empty
patches.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.clock import SystemClock
from proxy.config import Repo
from proxy.contract.patches import SandboxEvidence
from proxy.domain.failure import Category, Failure, ReplayRequest, Severity, Signature
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import Patch, PatchStatus, PatchType, patch_digest
from proxy.domain.redact import Redactor
from proxy.errors import NotFound
from proxy.healing.evidence import confidence
from proxy.healing.gitrepo import GitRepo
from proxy.healing.sandbox import Sandbox
from tests.support import repos

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def judge(failure: Failure) -> Signature | None:
    """Status and error name: enough to tell this app's failures apart."""
    if failure.redirect_chain and failure.status and failure.status < 400:
        return Signature("v1:circle")
    words = (failure.body or "").split('"')
    return Signature(f"v1:{failure.status}:{words[3] if len(words) > 3 else ''}")


SIGNATURE = "v1:500:KeyError: 'soup'"


def job(category: Category = Category.UNKNOWN, signature: str = SIGNATURE) -> Job:
    return Job(
        id=7, service="app", environment="production", method="GET", route="/price/{name}",
        signature=signature, signature_text="KeyError", category=category,
        severity=Severity.HIGH, status=JobStatus.PATCH_PROPOSED, occurrences=3, first_seen=NOW,
        last_seen=NOW, rule="r",
    )  # fmt: skip


def patch(base: str | None, diff: str | None, description: str = "look before you leap") -> Patch:
    return Patch(
        id=3, job_id=7, service="app", patch_type=PatchType.CODE, description=description,
        status=PatchStatus.SANDBOX_RUNNING, digest=patch_digest(base, diff, None), created_by="ann",
        created_at=NOW, diff=diff, base_commit=base,
    )  # fmt: skip


def failing(target: str = "/price/soup", method: str = "GET", **more: object) -> Failure:
    request = ReplayRequest(method, target, (("Host", "shop.example"),))
    return replace(
        Failure("app", NOW, "GET answered 500", method="GET", status=500, request=request),
        **more,  # type: ignore[arg-type]  # a test's shorthand
    )


class Room:
    """One app with its sandbox."""

    def __init__(self, tmp_path: Path, **settings: object) -> None:
        self.app = tmp_path / "app"
        self.base = repos.make_repo(self.app)
        self.repo = GitRepo(self.app, tmp_path / "home")
        values = {"path": str(self.app), "start": repos.START, "test": repos.TEST, "timeout_s": 30}
        self.settings = Repo.of({**values, **settings})
        self.sandbox = Sandbox(
            self.repo, self.settings, judge, redactor=Redactor(()), clock=SystemClock()
        )

    async def run(
        self, diff: str, failure: Failure | None = None, **kind: object
    ) -> SandboxEvidence:
        j = job(**kind)  # type: ignore[arg-type]  # a test's shorthand
        return await self.sandbox.run(patch(self.base, diff), j, failure or failing())


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def test_a_right_patch_is_reproduced_and_fixed(room: Room) -> None:
    seen = await room.run(repos.RIGHT)
    assert seen.replay_before.reason is None, seen
    assert (seen.reproduced, seen.fixed, seen.changed, seen.passed) == (True, True, True, True)
    assert seen.replay_before.status == 500
    assert seen.replay_before.same_signature is True
    assert seen.replay_after.status == 200
    assert seen.tests_before.ok is True
    assert seen.tests_after.ok is True
    assert seen.against == []
    score, terms = confidence(seen)
    assert score == 0.9
    assert terms[2].startswith("without it the failure came back: 500 in ")
    assert terms[3].startswith("with it the failing request works: 200 in ")
    assert sum(float(term.rpartition("+")[2].rstrip(")")) for term in terms) == pytest.approx(score)


async def test_its_branch_can_be_looked_at_in_the_apps_repository(room: Room) -> None:
    seen = await room.run(repos.RIGHT)
    assert seen.branch == "sandbox/self-heal/J-7"
    assert repos.git(room.app, "rev-parse", seen.branch) == seen.head_commit
    assert "PRICES.get" in repos.git(room.app, "show", f"{seen.branch}:shop.py")
    assert repos.git(room.app, "rev-parse", "main") == room.base
    assert repos.git(room.app, "status", "--porcelain") == ""


async def test_a_wrong_patch_still_fails_and_changes_the_answer(room: Room) -> None:
    seen = await room.run(repos.WRONG)
    assert (seen.reproduced, seen.fixed, seen.changed, seen.passed) == (True, False, True, False)
    assert seen.verdict.startswith("Not fixed")
    score, terms = confidence(seen)
    assert score == 0.1
    assert terms[3:] == [
        "no failing request is known to work with it (+0 of 0.35)",
        "at most 0.20, because the request still fails",
        "at most 0.10, because it breaks tests",
    ]


async def test_an_empty_patch_changes_nothing(room: Room) -> None:
    seen = await room.run(repos.NOOP)
    assert (seen.reproduced, seen.fixed, seen.changed, seen.passed) == (True, False, False, False)
    assert seen.verdict.startswith("Changes nothing")


async def test_a_fix_that_breaks_tests_does_not_pass(room: Room) -> None:
    seen = await room.run(repos.BREAKS_TESTS)
    assert (seen.reproduced, seen.fixed, seen.passed) == (True, True, False)
    assert "tests that passed before the patch fail with it" in seen.against


async def test_tests_edited_by_the_patch_do_not_judge_it(room: Room) -> None:
    weaker = repos.diff_of(room.app, "test_shop.py", repos.TESTS.replace(", 6)", ", 5)"))
    seen = await room.run(repos.BREAKS_TESTS + weaker)
    assert seen.tests_after.ok is False
    assert any("edits the tests" in a for a in seen.against)
    assert not seen.passed


async def test_a_diff_that_does_not_apply_names_its_hunk(room: Room) -> None:
    seen = await room.run(repos.RIGHT.replace("-    return PRICES[name] * count", "-    nothing"))
    assert not seen.applies
    assert not seen.passed
    assert "hunk 1 of shop.py" in seen.verdict
    assert not seen.replay_before.ran


async def test_a_failure_that_is_not_there_proves_nothing(room: Room) -> None:
    seen = await room.run(repos.RIGHT, failing("/price/tea"))
    assert (seen.reproduced, seen.fixed, seen.passed) == (False, False, False)
    assert seen.verdict.startswith("Not reproduced")
    assert confidence(seen)[0] <= 0.4


async def test_another_failure_is_not_this_failure(room: Room) -> None:
    seen = await room.run(repos.RIGHT, signature="v1:500:ValueError: other")
    assert seen.replay_before.failed is True
    assert seen.replay_before.same_signature is False
    assert not seen.reproduced


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (failing(request=None), "no request of this failure was kept"),
        (failing(request=ReplayRequest("POST", "/x", (), b"half", truncated=True)), "truncated"),
        (failing(request=ReplayRequest("GET", "http://169.254.169.254/")), "no path of the app"),
    ],
)
async def test_what_cannot_be_replayed_says_so(room: Room, failure: Failure, words: str) -> None:
    seen = await room.run(repos.RIGHT, failure)
    assert words in (seen.replay_before.reason or "")
    assert not seen.passed
    assert seen.tests_after.ok is True


async def test_an_unsafe_request_is_replayed_where_its_state_is_thrown_away(room: Room) -> None:
    body = b'{"name": "soup", "count": 4}'
    request = ReplayRequest("POST", "/price", (("Content-Type", "application/json"),), body)
    seen = await room.run(repos.RIGHT, failing(request=request))
    assert seen.replay_before.status == 500
    assert '"price": 0' in seen.replay_after.excerpt
    assert seen.passed


async def test_a_redirect_cycle_is_followed_and_seen_to_end(room: Room) -> None:
    fix = repos.diff_of(
        room.app, "shop.py", repos.APP.replace('self.redirect("/old")', 'self.redirect("/new")')
    )
    failure = failing(request=None, status=302, redirect_chain=("/old", "/older", "/old"))
    seen = await room.run(fix, failure, category=Category.REDIRECT_LOOP, signature="v1:circle")
    assert (seen.replay_before.status, seen.replay_after.status) == (302, 200)
    assert seen.passed


async def test_a_slow_answer_is_judged_by_its_budget(room: Room) -> None:
    slow = repos.APP.replace("return PRICES", "import time; time.sleep(0.4); return PRICES")
    (room.app / "shop.py").write_text(slow)
    room.base = repos.commit_all(room.app, "slow")
    fix = repos.diff_of(room.app, "shop.py", repos.APP)
    failure = failing("/price/tea", status=200, latency_ms=420.0, latency_budget_ms=200.0)
    signature = str(judge(replace(failure, body='{"price": 6}')))
    seen = await room.run(fix, failure, category=Category.PERFORMANCE, signature=signature)
    assert seen.reproduced, seen
    assert seen.fixed
    assert (seen.replay_before.duration_ms or 0) > 400 > 200 > (seen.replay_after.duration_ms or 0)


async def test_a_slow_route_without_a_kept_request_is_asked_by_its_name(room: Room) -> None:
    slow = repos.APP.replace('body = 200, {"ok": True}', "body = 200, time.sleep(0.3)")
    (room.app / "shop.py").write_text(slow.replace("import sys", "import sys\nimport time"))
    room.base = repos.commit_all(room.app, "slow")
    fix = repos.diff_of(room.app, "shop.py", repos.APP)
    failure = failing(
        request=None, status=None, origin="detector", route="/", message="GET / takes 310 ms",
        latency_ms=310.0, latency_budget_ms=20.0,
    )  # fmt: skip
    seen = await room.run(
        fix, failure, category=Category.PERFORMANCE, signature=str(judge(failure))
    )
    assert (seen.reproduced, seen.fixed, seen.passed) == (True, True, True), seen


async def test_without_commands_it_says_what_is_missing(tmp_path: Path) -> None:
    seen = await Room(tmp_path, start="", test="").run(repos.RIGHT)
    assert "repo.start is not set" in (seen.replay_before.reason or "")
    assert "repo.test is not set" in (seen.tests_before.reason or "")
    assert not seen.passed


async def test_an_app_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    seen = await Room(tmp_path, start="python -c 'raise SystemExit(3)'").run(repos.RIGHT)
    assert "exit 3" in (seen.replay_before.reason or "")


async def test_code_in_the_jail_reaches_nothing(tmp_path: Path) -> None:
    probe = (
        "python - <<'E'\n"
        "import os, socket, subprocess\n"
        "def no(f, *a):\n"
        "    try: f(*a)\n"
        "    except OSError: return\n"
        "    raise SystemExit(f'{f} {a} worked')\n"
        "no(socket.create_connection, ('192.0.2.1', 80), 1)\n"
        f"assert os.listdir({str(tmp_path)!r}) == ['app'], os.listdir({str(tmp_path)!r})\n"
        f"assert os.getcwd() == {str(tmp_path / 'app')!r} == os.path.realpath('/src')\n"
        "no(open, '/etc/shadow')\n"
        "no(open, '/usr/x', 'w')\n"
        "no(open, '/src/.git', 'w')\n"
        "assert 'SECRET' not in os.environ and os.getuid() != 0\n"
        "assert len([p for p in os.listdir('/proc') if p.isdigit()]) < 10\n"
        "assert subprocess.run(['unshare', '-U', 'true']).returncode\n"
        "E\n"
    )
    seen = await Room(tmp_path, test=probe).run(repos.RIGHT)
    assert seen.tests_after.ok, seen.tests_after.output


async def test_a_test_run_that_never_ends_is_stopped(tmp_path: Path) -> None:
    seen = await Room(tmp_path, test="sleep 300 & sleep 300", start="", timeout_s=1).run(
        repos.RIGHT
    )
    assert seen.tests_before.exit_code is None
    assert "took too long" in (seen.tests_before.reason or "")


async def test_what_tests_write_into_the_tree_never_reaches_the_commit(tmp_path: Path) -> None:
    room = Room(tmp_path, test="echo evil >> shop.py; rm -rf .git; echo 'gitdir: /' > .git")
    seen = await room.run(repos.RIGHT)
    assert any("rewrote tracked files: shop.py" in a for a in seen.against)
    assert "evil" not in repos.git(room.app, "show", f"{seen.head_commit}:shop.py")


async def test_a_base_that_is_no_commit_is_told(room: Room) -> None:
    with pytest.raises(NotFound):
        await room.sandbox.run(patch("0" * 40, repos.RIGHT), job(), failing())
