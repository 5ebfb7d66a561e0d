"""The shop's history is honest: every commit runs, and the last one is the template."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.clock import ManualClock
from proxy.demo.git import git
from proxy.demo.repository import HISTORY, TEMPLATE, make_repo, template_files, tree
from proxy.errors import SelfHealError


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "repo"
    make_repo(path, clock=ManualClock())
    return path


def _run(repo: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=repo, env=env, capture_output=True, text=True, check=False
    )


def test_main_is_the_template_file_by_file(repo: Path) -> None:
    assert git(repo, "ls-files").split() == template_files()
    for name, text in tree(len(HISTORY)).items():
        assert (repo / name).read_text("utf-8") == text
    assert (repo / "app.py").read_text("utf-8") == (TEMPLATE / "app.py").read_text("utf-8")
    assert git(repo, "status", "--porcelain") == ""
    assert git(repo, "branch", "--show-current") == "main"


def test_history_tells_who_brought_what(repo: Path) -> None:
    log = git(repo, "log", "--reverse", "--format=%an|%ae|%s").splitlines()
    assert [line.rpartition("|")[2] for line in log] == [step.subject for step in HISTORY]
    assert {line.split("|")[0] for line in log} == {"Mara Lind", "Tom Okafor"}
    blamed = git(repo, "log", "-1", "--format=%s", "-S", "gift-card", "--", "data/catalogue.json")
    assert blamed == "Sell gift cards"


def test_same_day_same_commits(repo: Path, tmp_path: Path) -> None:
    again = make_repo(tmp_path / "repo", clock=ManualClock())
    assert again == git(repo, "rev-list", "--reverse", "main").split()


@pytest.mark.parametrize("step", [1, len(HISTORY)])
def test_its_own_tests_pass(repo: Path, tmp_path: Path, step: int) -> None:
    _check_out_and_test(repo, tmp_path, step)


@pytest.mark.campaign
def test_every_commit_passes_its_own_tests(repo: Path, tmp_path: Path) -> None:
    whole = os.environ.get("SELFHEAL_CAMPAIGN") == "full"
    steps = range(1, len(HISTORY) + 1) if whole else (3, 5)
    for step in steps:
        _check_out_and_test(repo, tmp_path / str(step), step)


def _check_out_and_test(repo: Path, folder: Path, step: int) -> None:
    folder.mkdir(exist_ok=True)
    commit = git(repo, "rev-list", "--reverse", "main").split()[step - 1]
    clone = folder / "clone"
    git(folder, "clone", "-q", str(repo), str(clone))
    git(clone, "checkout", "-q", commit)
    done = _run(clone, "-m", "unittest", "-q")
    assert done.returncode == 0, done.stderr
    assert git(clone, "status", "--porcelain") == ""


def test_a_template_that_drifted_from_its_history_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from proxy.demo import repository

    drifted = repository.Edit("app.py", "was", "this text stands nowhere")
    step = repository.Step("late", repository.MARA, 0, edits=(drifted,))
    monkeypatch.setattr(repository, "HISTORY", (*HISTORY, step))
    with pytest.raises(ValueError, match="0 times"):
        tree(1)


def test_git_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SelfHealError, match="git rev-parse failed"):
        git(tmp_path, "rev-parse", "main")
