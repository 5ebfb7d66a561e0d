"""A proposed unified diff, parsed and checked. What it touches is derived from its own lines,
never believed.

The text comes from a model or a stranger. Whatever could run by itself, leave the tree or hide
from a reader is refused with ``proxy.errors.Invalid`` and a stable code: ``empty``,
``too_large``, ``malformed``, ``binary``, ``symlink``, ``submodule``, ``mode_change``,
``bad_path``, ``git_path``, ``forbidden_path``. Knows nothing of git itself; ``gitrepo`` lets git
read the same text and refuses it when the two readings differ.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

from proxy.errors import Invalid

DIFF_CHARS_MAX = 1_000_000
FILES_MAX = 200
HUNKS_MAX = 5_000

ChangeKind = Literal["modify", "add", "delete", "rename", "copy"]


@dataclass(frozen=True, slots=True)
class Hunk:
    """One ``@@`` block: where it starts in the old and in the new file (1-based), and its lines
    with their marks.
    """

    old_start: int
    new_start: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileChange:
    path: str
    kind: ChangeKind
    hunks: tuple[Hunk, ...] = ()
    old_path: str | None = None
    """Where a rename or copy came from."""

    @property
    def added(self) -> int:
        return sum(line[0] == "+" for hunk in self.hunks for line in hunk.lines)

    @property
    def removed(self) -> int:
        return sum(line[0] == "-" for hunk in self.hunks for line in hunk.lines)

    @property
    def added_text(self) -> str:
        return "\n".join(line[1:] for hunk in self.hunks for line in hunk.lines if line[0] == "+")


@dataclass(frozen=True, slots=True)
class Diff:
    changes: tuple[FileChange, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Every path touched, sources of renames included, sorted."""
        paths = {c.path for c in self.changes}
        paths |= {c.old_path for c in self.changes if c.kind == "rename" and c.old_path}
        return tuple(sorted(paths))

    @property
    def added(self) -> int:
        return sum(c.added for c in self.changes)

    @property
    def removed(self) -> int:
        return sum(c.removed for c in self.changes)

    def hunk_at(self, path: str, line: int) -> int | None:
        """Number (from 1) of the hunk of ``path`` whose old lines hold ``line``, as ``git
        apply`` names it.
        """
        for change in self.changes:
            if path in (change.path, change.old_path):
                for number, hunk in enumerate(change.hunks, 1):
                    if hunk.old_start == line:
                        return number
        return None


def parse_diff(text: str) -> Diff:
    """The checked meaning of a unified diff (``git diff`` form, or plain ``---``/``+++`` with
    ``a/`` and ``b/``).
    """
    if not text.strip():
        raise Invalid("the diff is empty; nothing would change", code="empty")
    if len(text) > DIFF_CHARS_MAX:
        raise Invalid(f"the diff is longer than {DIFF_CHARS_MAX} characters", code="too_large")
    if "\0" in text:
        raise Invalid("the diff holds a NUL byte; binary patches are not taken", code="binary")
    changes = _Reader(text).changes()
    if not changes:
        raise Invalid("the diff names no file; send a unified diff as git makes it", code="empty")
    _check_paths(changes)
    return Diff(tuple(changes))


# --- paths ------------------------------------------------------------------------------------

_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_DRIVE = re.compile(r"^[A-Za-z]:")

FORBIDDEN_NAMES: dict[str, str] = {
    "conftest.py": "pytest runs it by itself",
    "sitecustomize.py": "Python runs it by itself",
    "usercustomize.py": "Python runs it by itself",
    ".envrc": "shells run it by themselves",
    ".bashrc": "a shell start file",
    ".bash_profile": "a shell start file",
    ".profile": "a shell start file",
    ".zshrc": "a shell start file",
    ".zshenv": "a shell start file",
    ".npmrc": "it redirects the package manager",
    ".yarnrc": "it redirects the package manager",
    ".yarnrc.yml": "it redirects the package manager",
    ".pypirc": "it holds credentials",
    ".netrc": "it holds credentials",
    ".pre-commit-config.yaml": "a hook",
    ".husky": "a hook",
    "hooks.d": "a hook",
    ".circleci": "CI",
    ".buildkite": "CI",
    ".woodpecker": "CI",
    ".ci": "CI",
    ".travis.yml": "CI",
    ".drone.yml": "CI",
    ".woodpecker.yml": "CI",
    "jenkinsfile": "CI",
    "azure-pipelines.yml": "CI",
    "bitbucket-pipelines.yml": "CI",
    "appveyor.yml": "CI",
    ".appveyor.yml": "CI",
}
"""A component of this name (case-folded) anywhere in a path is refused, for the reason beside
it.
"""

_FORBIDDEN_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\.env(\..*)?$"), "it holds the environment"),
    (re.compile(r".*\.pth$"), "Python runs it by itself"),
)

_MANIFESTS = re.compile(
    r"""(package(-lock)?\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-(lock|workspace)\.yaml|bun\.lockb?|
    pyproject\.toml|setup\.(py|cfg)|(dev-|test-)?requirements[\w.-]*\.(txt|in)|constraints[\w.-]*\.txt|poetry\.lock|
    uv\.lock|pdm\.lock|pipfile(\.lock)?|environment\.ya?ml|tox\.ini|noxfile\.py|
    gemfile(\.lock)?|[\w.-]+\.gemspec|go\.(mod|sum|work)|cargo\.(toml|lock)|composer\.(json|lock)|
    pom\.xml|build\.gradle(\.kts)?|mix\.(exs|lock)|deno\.(json|lock)|makefile|dockerfile[\w.-]*)$""",
    re.VERBOSE,
)


def is_manifest(path: str) -> bool:
    """Manifests and lock files: they decide what code gets installed or built, so they weigh as
    high risk.
    """
    return _MANIFESTS.match(_fold(path.rsplit("/", 1)[-1])) is not None


_TESTS = re.compile(
    r"(^|/)(tests?|__tests__|spec)/|(^|/)(test_[^/]*|[^/]*(_test|\.test|\.spec|_spec)\.\w+)$"
)


def is_test(path: str) -> bool:
    """Files that judge the change rather than make it."""
    return _TESTS.search(path) is not None


def _fold(component: str) -> str:
    """How the most forgiving file systems read a name: case, width, invisible characters,
    trailing dots, streams.
    """
    folded = unicodedata.normalize("NFKC", component)
    folded = _IGNORABLE.sub("", folded).casefold().partition(":")[0]
    return unicodedata.normalize("NFKC", folded).rstrip(". ")


def check_path(path: str) -> None:
    """Raise ``Invalid`` unless ``path`` is a plain relative path that may be changed by a patch."""
    if (
        not path
        or path.startswith(("/", "~"))
        or "\\" in path
        or _DRIVE.match(path)
        or any(unicodedata.category(c) in ("Cc", "Cs") for c in path)
    ):
        raise Invalid(f"{path!r} is no plain relative path", code="bad_path")
    for component in path.split("/"):
        if component in ("", ".", ".."):
            raise Invalid(f"{path!r} leaves the tree or is not written plainly", code="bad_path")
        folded = _fold(component)
        if not folded:
            raise Invalid(f"{path!r} has a part no one can see", code="bad_path")
        if folded.startswith((".git", "git~")):
            raise Invalid(f"{path!r} belongs to git; a patch never touches it", code="git_path")
        why = FORBIDDEN_NAMES.get(folded) or next(
            (reason for shape, reason in _FORBIDDEN_SHAPES if shape.match(folded)), None
        )
        if why:
            raise Invalid(f"{path!r} is not for patches: {why}", code="forbidden_path")


def _check_paths(changes: list[FileChange]) -> None:
    seen: dict[str, str] = {}
    for change in changes:
        for path in filter(None, (change.path, change.old_path)):
            check_path(path)
        key = "/".join(_fold(part) for part in change.path.split("/"))
        if key in seen:
            raise Invalid(
                f"{change.path!r} appears twice (also as {seen[key]!r}); one file, one section",
                code="bad_path",
            )
        seen[key] = change.path


# --- reading ----------------------------------------------------------------------------------

_HUNK = re.compile(r"^@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_MODE_LINE = re.compile(r"^(old mode|new mode|new file mode|deleted file mode) (\d{6})$")
_INDEX_LINE = re.compile(r"^index [0-9a-f]{4,64}\.\.[0-9a-f]{4,64}(?: (\d{6}))?$")
_MODE_CODES = {"120000": "symlink", "160000": "submodule"}
_PLAIN_MODE = "100644"
_SIGNATURE = "-- "
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


@dataclass(slots=True)
class _Head:
    """What one file's header lines said so far."""

    old: str | None = None
    new: str | None = None
    rename_from: str | None = None
    rename_to: str | None = None
    copied: bool = False
    is_new: bool = False
    is_deleted: bool = False
    hunks: list[Hunk] = field(default_factory=list)


class _Reader:
    """One pass over the lines. Lines end with LF alone: a CR belongs to the file's content."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        if self._lines[-1] == "":
            self._lines.pop()
        self._at = 0
        self._hunks = 0

    def changes(self) -> list[FileChange]:
        found: list[FileChange] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.startswith("diff --git ") or self._at_plain_header():
                found.append(self._file())
                if len(found) > FILES_MAX:
                    raise Invalid(f"the diff touches over {FILES_MAX} files", code="too_large")
            elif line.startswith(("GIT binary patch", "Binary files ")):
                raise Invalid("binary patches are not taken", code="binary")
            elif line.startswith("@@ "):
                raise Invalid(f"line {self._at + 1}: a hunk before its file", code="malformed")
            elif found and line not in ("", _SIGNATURE) and self._lines[self._at - 1] != _SIGNATURE:
                raise Invalid(
                    f"line {self._at + 1} belongs to no hunk; its counts are wrong",
                    code="malformed",
                )
            else:
                self._at += 1
        return found

    def _at_plain_header(self) -> bool:
        following = self._lines[self._at + 1 : self._at + 2]
        return (
            self._lines[self._at].startswith("--- ")
            and following[:1] != []
            and following[0].startswith("+++ ")
        )

    def _file(self) -> FileChange:
        head = _Head()
        git_line = (
            self._lines[self._at] if self._lines[self._at].startswith("diff --git ") else None
        )
        if git_line:
            self._at += 1
            self._extended(head)
        if self._at < len(self._lines) and self._at_plain_header():
            head.old = _side(self._lines[self._at][4:], "a")
            head.new = _side(self._lines[self._at + 1][4:], "b")
            self._at += 2
            while self._at < len(self._lines) and self._lines[self._at].startswith("@@ "):
                head.hunks.append(self._hunk())
            if not head.hunks:
                raise Invalid(f"line {self._at}: a file without a hunk", code="malformed")
        return _change(head, git_line)

    def _extended(self, head: _Head) -> None:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if mode := _MODE_LINE.match(line):
                _check_mode(mode[1], mode[2])
                head.is_new |= mode[1] == "new file mode"
                head.is_deleted |= mode[1] == "deleted file mode"
            elif index := _INDEX_LINE.match(line):
                _check_mode("index", index[1] or _PLAIN_MODE)
            elif line.startswith(("GIT binary patch", "Binary files ")):
                raise Invalid("binary patches are not taken", code="binary")
            elif line.startswith(("rename from ", "copy from ")):
                head.rename_from = _unquote(line.partition(" from ")[2])
                head.copied |= line.startswith("copy")
            elif line.startswith(("rename to ", "copy to ")):
                head.rename_to = _unquote(line.partition(" to ")[2])
            elif not line.startswith(("similarity index ", "dissimilarity index ")):
                return
            self._at += 1

    def _hunk(self) -> Hunk:
        line = self._lines[self._at]
        match = _HUNK.match(line)
        if match is None:
            raise Invalid(f"line {self._at + 1}: {line[:80]!r} is no hunk head", code="malformed")
        self._hunks += 1
        if self._hunks > HUNKS_MAX:
            raise Invalid(f"the diff has over {HUNKS_MAX} hunks", code="too_large")
        start = self._at + 1
        old, new = int(match[2] or 1), int(match[4] or 1)
        self._at += 1
        lines: list[str] = []
        while old > 0 or new > 0:
            text = self._lines[self._at] if self._at < len(self._lines) else None
            # editors strip the blank of an empty context line, and git reads it all the same
            mark = None if text is None else (text[:1] or " ")
            if mark is None or mark not in " +-\\":
                raise Invalid(
                    f"the hunk at line {start} ends before its counts are met", code="malformed"
                )
            old -= mark in " -"
            new -= mark in " +"
            if old < 0 or new < 0:
                raise Invalid(
                    f"the hunk at line {start} is longer than its counts", code="malformed"
                )
            if mark != "\\":
                lines.append(text or " ")
            self._at += 1
        while self._at < len(self._lines) and self._lines[self._at].startswith("\\ "):
            self._at += 1
        return Hunk(int(match[1]), int(match[3]), tuple(lines))


def _check_mode(what: str, mode: str) -> None:
    if mode in _MODE_CODES:
        raise Invalid(f"the diff holds a {_MODE_CODES[mode]}; not taken", code=_MODE_CODES[mode])
    if what in ("old mode", "new mode") or (what == "new file mode" and mode != _PLAIN_MODE):
        raise Invalid("the diff changes a file's mode; only contents are taken", code="mode_change")


def _side(text: str, letter: str) -> str | None:
    """The path of a ``---`` or ``+++`` line without its ``a/`` or ``b/``; None for
    ``/dev/null``.
    """
    name = text if text.startswith('"') else text.partition("\t")[0]
    name = _unquote(name)
    if name == "/dev/null":
        return None
    prefix, slash, rest = name.partition("/")
    if not slash or prefix != letter:
        raise Invalid(
            f"{name[:200]!r} does not begin with {letter}/; send the diff as `git diff` makes it",
            code="bad_path",
        )
    return rest


def _unquote(text: str) -> str:
    """Undo git's C quoting (octal bytes, UTF-8 inside)."""
    if not text.startswith('"'):
        return text.rstrip("\r")
    raw, at = bytearray(), 1
    while at < len(text) and text[at] != '"':
        if text[at] != "\\":
            raw += text[at].encode("utf-8", "surrogateescape")
            at += 1
        elif octal := re.match(r"[0-3][0-7]{2}", text[at + 1 : at + 4]):
            raw.append(int(octal[0], 8))
            at += 4
        elif (escape := _ESCAPES.get(text[at + 1 : at + 2])) is not None:
            raw.append(escape)
            at += 2
        else:
            raise Invalid(f"{text[:80]!r} is not quoted as git does", code="bad_path")
    if text[at : at + 1] != '"' or text[at + 1 :].strip():
        raise Invalid(f"{text[:80]!r} is not quoted as git does", code="bad_path")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"{text[:80]!r} is not UTF-8", code="bad_path") from None


def _change(head: _Head, git_line: str | None) -> FileChange:
    hunks = tuple(head.hunks)
    if head.rename_from is not None or head.rename_to is not None:
        if not head.rename_from or not head.rename_to:
            raise Invalid("a rename names only one of its two paths", code="malformed")
        kind: ChangeKind = "copy" if head.copied else "rename"
        if hunks and (head.old, head.new) != (head.rename_from, head.rename_to):
            raise Invalid("a rename and its hunks name different files", code="malformed")
        return FileChange(head.rename_to, kind, hunks, head.rename_from)
    if not hunks:
        return _empty_change(head, git_line)
    if head.old is None and head.new is None:
        raise Invalid("a section from nothing to nothing", code="malformed")
    if head.old is None:
        return FileChange(head.new or "", "add", hunks)
    if head.new is None:
        return FileChange(head.old, "delete", hunks)
    if head.old != head.new or head.is_new or head.is_deleted:
        raise Invalid(f"{head.old!r} and {head.new!r}: header and paths disagree", code="malformed")
    return FileChange(head.new, "modify", hunks)


def _empty_change(head: _Head, git_line: str | None) -> FileChange:
    """Empty files are added or deleted without hunks; then only the ``diff --git`` line names
    them.
    """
    words = re.match(r"^diff --git a/(.+) b/\1$", git_line or "")
    if words is None or not (head.is_new or head.is_deleted):
        raise Invalid("a section changes nothing", code="empty")
    return FileChange(words[1], "add" if head.is_new else "delete")
