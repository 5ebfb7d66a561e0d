"""MAIN moves once, whole, and never over somebody's work."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.clock import ManualClock
from proxy.config import Repo
from proxy.domain.patch import Patch, PatchStatus, PatchType, patch_digest
from proxy.errors import Conflict, Invalid
from proxy.healing.applier import Applied, Applier
from proxy.healing.gitrepo import GitRepo
from tests.support import repos

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def make_patch(base: str, diff: str | None = repos.RIGHT, sql: str | None = None) -> Patch:
    return Patch(
        id=3, job_id=7, service="app", patch_type=PatchType.CODE, description="fix",
        status=PatchStatus.APPROVED, digest=patch_digest(base, diff, sql), created_by="ann",
        created_at=NOW, diff=diff, sql=sql, base_commit=base,
    )  # fmt: skip


class Room:
    def __init__(self, tmp_path: Path, **settings: object) -> None:
        self.app = tmp_path / "app"
        self.base = repos.make_repo(self.app)
        self.repo = GitRepo(self.app, tmp_path / "home")
        self.applier = Applier(
            self.repo, Repo.of({"path": str(self.app), **settings}), clock=ManualClock()
        )
        self.patch = make_patch(self.base)

    @property
    def main(self) -> str:
        return repos.git(self.app, "rev-parse", "main")

    @property
    def status(self) -> str:
        return repos.git(self.app, "status", "--porcelain")

    @property
    def source(self) -> str:
        return (self.app / "shop.py").read_text()

    async def applied(self) -> Applied:
        done = await self.applier.apply(self.patch)
        self.patch = replace(
            self.patch, applied_commit=done.commit, previous_commit=done.previous_commit
        )
        return done


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def test_main_moves_tree_and_ref_together(room: Room) -> None:
    done = await room.applied()
    assert (done.previous_commit, done.commit, done.moved) == (room.base, room.main, True)
    assert room.status == ""
    assert "PRICES.get" in room.source
    assert repos.git(room.app, "log", "-1", "--format=%P") == room.base
    assert "Self-Heal-Digest: " + room.patch.digest in repos.git(room.app, "log", "-1")
    assert repos.git(room.app, "symbolic-ref", "HEAD") == "refs/heads/main"


async def test_applying_again_is_the_same_deed(room: Room) -> None:
    first, second = await room.applied(), await room.applied()
    assert first.commit == second.commit == room.main


async def test_a_dirty_tree_is_left_alone(room: Room) -> None:
    (room.app / "test_shop.py").write_text("mine")
    with pytest.raises(Conflict, match=r"test_shop\.py") as refused:
        await room.applied()
    assert refused.value.code == "dirty_tree"
    assert room.main == room.base
    assert "PRICES.get" not in room.source
    assert (room.app / "test_shop.py").read_text() == "mine"


async def test_staged_work_counts_as_dirty(room: Room) -> None:
    (room.app / "note").write_text("mine")
    repos.git(room.app, "add", "note")
    with pytest.raises(Conflict) as refused:
        await room.applied()
    assert refused.value.code == "dirty_tree"


async def test_an_untracked_file_in_the_way_is_not_overwritten(room: Room) -> None:
    room.patch = make_patch(room.base, repos.diff_of(room.app, "new.py", "ours = 1\n"))
    (room.app / "new.py").write_text("mine")
    with pytest.raises(Conflict) as refused:
        await room.applied()
    assert refused.value.code == "dirty_tree"
    assert (room.app / "new.py").read_text() == "mine"
    assert room.main == room.base


async def test_untracked_files_elsewhere_do_not_matter(room: Room) -> None:
    (room.app / "scratch").write_text("mine")
    await room.applied()
    assert (room.app / "scratch").read_text() == "mine"


async def test_main_that_moved_on_refuses(room: Room) -> None:
    (room.app / "other").write_text("later")
    later = repos.commit_all(room.app, "later")
    with pytest.raises(Conflict) as refused:
        await room.applied()
    assert refused.value.code == "main_moved"
    assert room.main == later


async def test_a_branch_elsewhere_checked_out_moves_only_the_ref(room: Room) -> None:
    repos.git(room.app, "checkout", "-q", "-b", "feature")
    (room.app / "shop.py").write_text("half done")
    done = await room.applied()
    assert room.main == done.commit
    assert room.source == "half done"


async def test_main_checked_out_in_another_worktree_moves_there(room: Room, tmp_path: Path) -> None:
    repos.git(room.app, "checkout", "-q", "-b", "feature")
    repos.git(room.app, "worktree", "add", "-q", str(tmp_path / "other"), "main")
    await room.applied()
    assert "PRICES.get" in (tmp_path / "other" / "shop.py").read_text()
    assert repos.git(tmp_path / "other", "status", "--porcelain") == ""


@pytest.mark.parametrize("left", ["tree", "ref"])
async def test_a_try_that_broke_off_half_way_is_finished(room: Room, left: str) -> None:
    done = await room.applied()
    if left == "tree":
        repos.git(room.app, "update-ref", "refs/heads/main", room.base)
    else:
        repos.git(room.app, "reset", "-q", "--hard", room.base)
        repos.git(room.app, "update-ref", "refs/heads/main", done.commit)
    assert room.status != ""
    await room.applied()
    assert room.main == done.commit
    assert room.status == ""
    assert "PRICES.get" in room.source


async def test_hooks_and_filters_of_the_app_never_run(room: Room, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    for hook in ("post-checkout", "reference-transaction", "post-merge", "pre-commit"):
        file = room.app / ".git" / "hooks" / hook
        file.write_text(f"#!/bin/sh\necho {hook} >> {trace}\n")
        file.chmod(0o755)
    repos.git(room.app, "config", "filter.evil.smudge", f"sh -c 'echo smudge >> {trace}; cat'")
    repos.git(room.app, "config", "core.fsmonitor", f"sh -c 'echo fsmonitor >> {trace}'")
    (room.app / ".git" / "info" / "attributes").write_text("*.py filter=evil\n")
    await room.applied()
    assert not trace.exists()
    assert "PRICES.get" in (room.app / "shop.py").read_text()


async def test_a_file_behind_a_filter_is_refused(room: Room) -> None:
    (room.app / ".gitattributes").write_text("*.py filter=lfs\n")
    room.base = repos.commit_all(room.app, "filtered")
    room.patch = make_patch(room.base)
    with pytest.raises(Conflict) as refused:
        await room.applied()
    assert refused.value.code == "filtered_path"
    assert room.main == room.base


async def test_an_unfinished_merge_is_not_disturbed(room: Room) -> None:
    (room.app / ".git" / "MERGE_HEAD").write_text(room.base + "\n")
    with pytest.raises(Conflict) as refused:
        await room.applied()
    assert refused.value.code == "busy_tree"


async def test_another_diff_than_the_approved_one_is_refused(room: Room) -> None:
    room.patch = replace(room.patch, diff=repos.WRONG)
    with pytest.raises(Conflict) as refused:
        await room.applied()
    assert refused.value.code == "digest_changed"


async def test_another_commit_than_the_proven_one_is_refused(room: Room) -> None:
    room.patch = replace(room.patch, evidence={"head_commit": "f" * 40})
    with pytest.raises(Conflict) as refused:
        await room.applied()
    assert refused.value.code == "evidence_changed"


async def test_a_diff_that_does_not_apply_moves_nothing(room: Room) -> None:
    room.patch = make_patch(room.base, repos.RIGHT.replace("PRICES[name]", "PRIZES[name]"))
    with pytest.raises(Invalid) as refused:
        await room.applied()
    assert refused.value.code == "does_not_apply"
    assert room.main == room.base


async def test_sql_alone_is_not_ours_to_run(room: Room) -> None:
    room.patch = make_patch(room.base, None, "create index on orders (id)")
    with pytest.raises(Conflict) as refused:
        await room.applied()
    assert refused.value.code == "by_hand"


async def test_branch_mode_leaves_main_and_names_the_branch(tmp_path: Path) -> None:
    room = Room(tmp_path, apply="branch")
    done = await room.applied()
    assert not done.moved
    assert room.main == room.base
    assert repos.git(room.app, "rev-parse", "sandbox/self-heal/J-7") == done.commit
    assert not await room.applier.on_main(done.commit)
    repos.git(room.app, "merge", "-q", "--ff-only", "sandbox/self-heal/J-7")
    assert await room.applier.on_main(done.commit)


async def test_the_founders_command_runs_afterwards_and_undoes_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path, after_apply="echo moved to $SELFHEAL_COMMIT; exit 3")
    done = await room.applied()
    assert done.after is not None
    assert (done.after.ok, done.after.exit_code) == (False, 3)
    assert done.after.output == f"moved to {done.commit}\n"
    assert room.main == done.commit


async def test_a_rollback_restores_and_keeps_later_work(room: Room) -> None:
    await room.applied()
    (room.app / "other").write_text("later")
    later = repos.commit_all(room.app, "later")
    done = await room.applier.rollback(room.patch)
    assert done.previous_commit == later
    assert repos.git(room.app, "diff", "--name-only", room.base, "main") == "other"
    assert room.status == ""
    assert room.base[:12] not in done.message
    again = await room.applier.rollback(room.patch)
    assert again.commit == room.main == done.commit


async def test_a_rollback_told_twice_never_takes_later_work_off_main(room: Room) -> None:
    await room.applied()
    done = await room.applier.rollback(room.patch)
    (room.app / "other").write_text("work after a crash lost the tick behind the order")
    later = repos.commit_all(room.app, "later")
    again = await room.applier.rollback(room.patch)
    assert (again.commit, room.main, room.status) == (done.commit, later, "")


async def test_a_rollback_under_later_changes_of_the_same_lines_is_for_a_person(room: Room) -> None:
    await room.applied()
    (room.app / "shop.py").write_text(
        room.source.replace("PRICES.get(name, 0)", "PRICES.get(name, 1)")
    )
    repos.commit_all(room.app, "later")
    with pytest.raises(Conflict) as refused:
        await room.applier.rollback(room.patch)
    assert refused.value.code == "cannot_revert"


async def test_what_was_never_applied_cannot_be_taken_back(room: Room) -> None:
    with pytest.raises(Conflict) as refused:
        await room.applier.rollback(room.patch)
    assert refused.value.code == "not_applied"
