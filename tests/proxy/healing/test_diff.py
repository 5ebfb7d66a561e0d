"""Diffs from strangers: what is read, and what is refused under which code."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Invalid
from proxy.healing.diff import check_path, is_manifest, is_test, parse_diff
from proxy.healing.gitrepo import GitRepo
from tests.support import repos


def one_line(path: str, head: str = "") -> str:
    return (
        f"diff --git a/{path} b/{path}\n{head}--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-old\n+new\n"
    )


def refused(text: str) -> str:
    with pytest.raises(Invalid) as error:
        parse_diff(text)
    return error.value.code


def test_files_and_counts_are_read_off_the_lines() -> None:
    diff = parse_diff(repos.RIGHT)
    assert diff.files == ("shop.py",)
    assert (diff.added, diff.removed) == (1, 1)
    assert diff.hunk_at("shop.py", 8) == 1
    assert diff.hunk_at("shop.py", 9) is None


def test_plain_unified_diffs_are_read_too() -> None:
    diff = parse_diff("--- a/x.py\t2026-01-01\n+++ b/x.py\t2026-01-02\n@@ -1 +1 @@\n-a\n+b\n")
    assert diff.files == ("x.py",)


def test_new_deleted_and_renamed_files() -> None:
    added = one_line("n.py", "new file mode 100644\n").replace("--- a/n.py", "--- /dev/null")
    added = added.replace("@@ -1 +1 @@\n-old\n", "@@ -0,0 +1 @@\n")
    gone = one_line("g.py", "deleted file mode 100644\n").replace("+++ b/g.py", "+++ /dev/null")
    gone = gone.replace("@@ -1 +1 @@\n-old\n+new\n", "@@ -1 +0,0 @@\n-old\n")
    moved = "diff --git a/a.py b/b.py\nsimilarity index 100%\nrename from a.py\nrename to b.py\n"
    diff = parse_diff(added + gone + moved)
    assert [(c.kind, c.path) for c in diff.changes] == [
        ("add", "n.py"), ("delete", "g.py"), ("rename", "b.py"),
    ]  # fmt: skip
    assert diff.files == ("a.py", "b.py", "g.py", "n.py")


def test_quoted_names_are_unquoted_and_still_checked() -> None:
    quoted = (
        one_line("x").replace("a/x", '"a/gr\\303\\274n.py"').replace("b/x", '"b/gr\\303\\274n.py"')
    )
    assert parse_diff(quoted).files == ("grün.py",)
    sneaky = (
        one_line("x").replace("a/x", '"a/\\056git/config"').replace("b/x", '"b/\\056git/config"')
    )
    assert refused(sneaky) == "git_path"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("please fix the bug\n", "empty"),
        ("x" * 1_000_001, "too_large"),
        ("diff --git a/x b/x\n\0", "binary"),
        (
            "diff --git a/x b/x\nindex 1234567..89abcde 100644\nGIT binary patch\nliteral 3\n",
            "binary",
        ),
        ("diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n", "binary"),
        (one_line("x", "new file mode 120000\n"), "symlink"),
        (one_line("x", "index 1234567..89abcde 120000\n"), "symlink"),
        (one_line("x", "index 1234567..89abcde 160000\n"), "submodule"),
        (one_line("x", "new file mode 100755\n"), "mode_change"),
        ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "mode_change"),
        (one_line("x") + "+hidden\n", "malformed"),
        (one_line("x").replace("@@ -1 +1 @@", "@@ -1,3 +1,3 @@"), "malformed"),
        (one_line("x").replace("@@ -1 +1 @@", "@@ -1 +1,0 @@"), "malformed"),
        (one_line("x").replace("@@ -1 +1 @@\n-old\n+new\n", ""), "malformed"),
        (one_line("x").replace("+++ b/x", "+++ b/y"), "malformed"),
        (one_line("x") + one_line("x"), "bad_path"),
        (one_line("X.py") + one_line("x.py"), "bad_path"),
        ("--- x.py\n+++ x.py\n@@ -1 +1 @@\n-a\n+b\n", "bad_path"),
        ("@@ -1 +1 @@\n-a\n+b\n", "malformed"),
    ],
)
def test_what_is_refused(text: str, code: str) -> None:
    assert refused(text) == code


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/etc/passwd", "bad_path"), ("../x", "bad_path"), ("a/../../x", "bad_path"),
        ("a//b", "bad_path"), ("./a", "bad_path"), ("a\\b", "bad_path"), ("C:/x", "bad_path"),
        ("~/x", "bad_path"), ("a\x1bb", "bad_path"), ("", "bad_path"), ("a/\u200b/b", "bad_path"),
        (".git/config", "git_path"), (".GIT/config", "git_path"), ("a/.Git/hooks/x", "git_path"),
        (".g\u200cit/config", "git_path"), (".git /config", "git_path"), (".git./x", "git_path"),
        ("git~1/config", "git_path"), (".git::$INDEX_ALLOCATION/x", "git_path"),
        ("\uff0egit/config", "git_path"), (".g\u0131t", "ok"),
        (".gitmodules", "git_path"), (".gitattributes", "git_path"), ("a/.gitconfig", "git_path"),
        (".github/workflows/x.yml", "git_path"), (".gitlab-ci.yml", "git_path"),
        ("Jenkinsfile", "forbidden_path"), (".circleci/config.yml", "forbidden_path"),
        ("tests/conftest.py", "forbidden_path"), ("CONFTEST.PY", "forbidden_path"),
        ("sitecustomize.py", "forbidden_path"), ("x/evil.pth", "forbidden_path"),
        (".env", "forbidden_path"), ("a/.env.local", "forbidden_path"),
        (".bashrc", "forbidden_path"),
        (".husky/pre-commit", "forbidden_path"), (".npmrc", "forbidden_path"),
        ("src/app.py", "ok"), ("environment.py", "ok"), ("a b/ü.txt", "ok"),
    ],
)  # fmt: skip
def test_paths(path: str, code: str) -> None:
    found = "ok"
    try:
        check_path(path)
    except Invalid as error:
        found = error.code
    assert found == code


def test_manifests_and_tests_are_told_apart() -> None:
    for path in ("package.json", "a/Cargo.lock", "requirements-dev.txt", "Dockerfile.prod"):
        assert is_manifest(path)
    assert not is_manifest("package.json.py")
    for path in ("tests/x.py", "a/test_b.py", "b_test.go", "c.spec.ts", "__tests__/d.js"):
        assert is_test(path)
    assert not is_test("contest.py")


@given(st.text(st.sampled_from(list('+-@ \\ab/\n\t"0123,')), max_size=400))
def test_any_text_is_read_or_refused_never_crashed_on(text: str) -> None:
    for body in (text, one_line("x") + text, "diff --git a/x b/x\n" + text):
        try:
            parse_diff(body)
        except Invalid:
            continue


async def test_git_reads_the_same_files_from_what_git_made(tmp_path: Path) -> None:
    base = repos.make_repo(
        tmp_path / "app", {"a.txt": "1\n2\n", "b.txt": "x\n" * 30, "d.txt": "d\n"}
    )
    app = tmp_path / "app"
    (app / "a.txt").write_text("1\n3\n")
    (app / "b.txt").rename(app / "grün c.txt")
    (app / "d.txt").unlink()
    (app / "new.txt").write_text("no newline at the end")
    repos.git(app, "add", "-A")
    made = repos.git(app, "diff", "--cached", "-M") + "\n"
    diff = parse_diff(made)
    assert diff.files == ("a.txt", "b.txt", "d.txt", "grün c.txt", "new.txt")
    await GitRepo(app, tmp_path / "home").check(base, diff, made)


async def test_a_path_through_a_link_of_the_base_is_refused(tmp_path: Path) -> None:
    app = tmp_path / "app"
    repos.make_repo(app)
    (app / "out").symlink_to("/etc")
    base = repos.commit_all(app, "link")
    for path in ("out", "out/passwd"):
        text = one_line(path)
        with pytest.raises(Invalid) as error:
            await GitRepo(app, tmp_path / "home").check(base, parse_diff(text), text)
        assert error.value.code == "symlink"
