"""How risky a proposed change is: 0-100 with reasons, the highest consideration wins. Pure.

Levels start at 0, 20, 40 and 70 (``proxy.domain.patch.risk_level``). It knows plain values only:
paths, counts, SQL text, a category. Nothing here can lower a score; ``raised`` may lift one.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proxy.domain.failure import Category, Severity
from proxy.domain.patch import PatchType, Risk, risk_level

REASONS_MAX = 12
FILES_NAMED = 5
LEVEL_FLOORS = {Severity.LOW: 0, Severity.MEDIUM: 20, Severity.HIGH: 40, Severity.CRITICAL: 70}
"""The lowest score of each level."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is known of a proposed change before anything ran.

    ``sql`` is everything that would reach a database: the patch's own SQL and the added lines of
    ``.sql`` files. ``traffic_share`` is 0-1 of recent requests on the job's route, None when
    unknown.
    """

    patch_type: PatchType
    category: Category
    files: Sequence[str] = ()
    manifests: Sequence[str] = ()
    lines: int = 0
    sql: str = ""
    traffic_share: float | None = None


Weighed = tuple[int, str]

_CATEGORY: dict[Category, Weighed] = {
    Category.RLS_VIOLATION: (40, "the bug is about who may see which rows"),
    Category.AUTH_FAILURE: (40, "the bug is about who may come in"),
    Category.DB_ERROR: (20, "the bug touches the database"),
    Category.UNKNOWN: (20, "nobody knows yet what kind of bug this is"),
}

_PATHS: tuple[tuple[re.Pattern[str], int, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), points, reason)
    for pattern, points, reason in (
        (r"payment|billing|checkout|invoice|stripe|paypal|payout|refund|ledger", 70, "payments"),
        (r"(^|/)\.?(ci|github|circleci|gitlab)(/|-|$)|pipeline", 70, "CI"),
        (r"migrations?(/|_|$)|(^|/)alembic(/|$)|schema\.(sql|prisma|rb)$", 60, "migrations"),
        (r"auth|login|session|password|passwd|permission|polic(y|ies)|oauth|jwt|token|acl|rbac|crypt|secur|secret",
         50, "who may do what"),
        (r"(^|/)(dockerfile|docker-compose|compose\.ya?ml|k8s|kubernetes|helm|terraform|nginx|deploy)|\.tf$",
         45, "how it is deployed"),
        (r"\.sql$", 40, "SQL"),
        (r"(^|/)(config|settings)[^/]*(/|\.|$)|\.(ini|toml|ya?ml|conf)$", 25, "configuration"),
        (r"middleware|(^|/)(core|base|common|shared|lib)(/|\.)", 20, "code many parts share"),
    )
)  # fmt: skip

_TYPES: dict[PatchType, Weighed] = {
    PatchType.SQL_MIGRATION: (40, "it changes the database"),
    PatchType.DEPENDENCY: (45, "it changes what code gets installed"),
    PatchType.CONFIG: (25, "it changes configuration"),
    PatchType.MANUAL: (20, "it is done by hand"),
}

_SQL: tuple[tuple[re.Pattern[str], int, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), points, reason)
    for pattern, points, reason in (
        (r"^(drop\s+(table|schema|database|owned|role|user)|truncate)\b", 90, "destroys data"),
        (r"^alter\s+table\b.*\bdrop\s+(column\b|(?!constraint|default|not|identity|expr)\w)",
         80, "drops a column"),
        (r"^(delete|update)\b(?!.*\bwhere\b)", 80, "changes every row"),
        (r"^(grant|revoke|alter\s+(role|user|default|system)|create\s+(role|user|extension)|set\s+role|reassign)\b",
         80, "changes rights"),
        (r"\b(row\s+level\s+security|policy)\b", 70, "changes row-level security"),
        (r"^(do|copy|call|execute|prepare|load)\b", 70, "runs what cannot be read off"),
        (r"\bsecurity\s+definer\b", 70, "runs with its owner's rights"),
        (r"^drop\b", 60, "drops an object"),
        (r"^alter\s+table\b.*\b(type|not\s+null|rename)\b", 60, "rewrites or locks a table"),
        (r"^(create\s+(or\s+replace\s+)?(function|procedure|trigger|rule|event))\b",
         50, "adds code to the database"),
        (r"^(delete|update|merge)\b", 50, "changes rows"),
        (r"^alter\b", 40, "alters an object"),
        (r"^create\s+(unique\s+)?index\b(?!\s+concurrently)", 40, "locks writes while it indexes"),
        (r"^(insert|create)\b", 20, "adds to the database"),
        (r"^\w", 20, "speaks to the database"),
    )
)  # fmt: skip

_SIZES: tuple[tuple[int, int], ...] = ((1000, 60), (400, 40), (150, 20), (50, 10))
_SPREADS: tuple[tuple[int, int], ...] = ((20, 40), (8, 20), (4, 10))
_SHARES: tuple[tuple[float, int], ...] = ((0.5, 40), (0.2, 20), (0.05, 10))


def assess(change: Change) -> Risk:
    """The highest of all considerations. Its reasons: that one and every other worth at least ten
    points, heaviest first, and last what was looked at, so that a low score shows why it is low.
    """
    weighed = sorted(set(_considerations(change)), key=lambda w: (-w[0], w[1]))
    score = weighed[0][0]
    heavy = [w for w in weighed if w[0] >= 10] or weighed[:1]
    reasons = [f"{reason} ({points})" for points, reason in heavy[: REASONS_MAX - 1]]
    return Risk(score, risk_level(score), (*reasons, _looked_at(change)))


def _looked_at(change: Change) -> str:
    named = ", ".join(change.files[:FILES_NAMED])
    more = len(change.files) - FILES_NAMED
    spoken = len(statements(change.sql))
    share = change.traffic_share
    return ", ".join(
        (
            f"looked at: {_counted(len(change.files), 'file')}"
            + (f" ({named}{f' and {more} more' if more > 0 else ''})" if named else ""),
            _counted(change.lines, "changed line"),
            f"{_counted(spoken, 'SQL statement')}" if spoken else "no SQL",
            f"a bug of kind {change.category}",
            "the route's traffic is not known"
            if share is None
            else f"{share:.0%} of the traffic passes here",
        )
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def raised(risk: Risk, score: int, reason: str) -> Risk:
    """``risk`` lifted to ``score`` (0-100) for ``reason``; a lower score changes nothing."""
    if score <= risk.score:
        return risk
    score = min(score, 100)
    *reasons, looked_at = risk.reasons or ("looked at: nothing yet",)
    reasons = [f"{reason} ({score})", *reasons][: REASONS_MAX - 1]
    return Risk(score, risk_level(score), (*reasons, looked_at))


def _considerations(change: Change) -> Iterator[Weighed]:
    yield 5, "any change can be wrong"
    if weighed := _CATEGORY.get(change.category):
        yield weighed
    if weighed := _TYPES.get(change.patch_type):
        yield weighed
    for path in change.files:
        for pattern, points, reason in _PATHS:
            if pattern.search(path):
                yield points, f"{reason}: {path}"
    for path in change.manifests:
        yield 45, f"decides what gets installed: {path}"
    yield from _first(_SIZES, change.lines, f"{change.lines} changed lines")
    yield from _first(_SPREADS, len(change.files), f"{len(change.files)} files")
    if change.traffic_share is not None:
        yield from _first(
            _SHARES, change.traffic_share, f"{change.traffic_share:.0%} of the traffic passes here"
        )
    for statement in statements(change.sql):
        for pattern, points, reason in _SQL:
            if pattern.search(statement):
                yield points, f"SQL {reason}: {' '.join(statement.split())[:80]}"
                break


def _first(steps: Iterable[tuple[float, int]], value: float, reason: str) -> Iterator[Weighed]:
    for floor, points in steps:
        if value >= floor:
            yield points, reason
            return


_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*)|(?P<text>(?<![\w$])[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*")|"""
    r"""(?P<dollar>\$(?:[A-Za-z_]\w*)?\$)|(?P<end>;)""",
    re.DOTALL,
)


def statements(sql: str) -> list[str]:
    """Split at the semicolons that end statements; comments become blanks, literals ``''``,
    dollar bodies ``$$``.

    What stands in quotes, comments or dollar bodies cannot pretend to be a verb, nor hide one:
    an unfinished quote or comment swallows the rest, so the rest counts as a statement of
    unknown meaning (``do``).
    """
    found, current, at = [], "", 0
    while match := _TOKEN.search(sql, at):
        current += sql[at : match.start()]
        at = match.end()
        if match["end"]:
            found.append(current)
            current = ""
        elif match["text"]:
            current += "''"
        elif match["dollar"]:
            close = sql.find(match["dollar"], at)
            current += " $$ "
            if close < 0:
                return [s.strip() for s in [*found, current, "do unfinished"] if s.strip()]
            at = close + len(match["dollar"])
        elif match["comment"] == "/*":
            at = _comment_end(sql, at)
            current += " "
            if at < 0:
                return [s.strip() for s in [*found, current, "do unfinished"] if s.strip()]
    return [s.strip() for s in [*found, current + sql[at:]] if s.strip()]


def _comment_end(sql: str, at: int) -> int:
    """Where the block comment opened before ``at`` ends; they nest in PostgreSQL. -1 when it
    never does.
    """
    depth = 1
    while depth:
        match = re.compile(r"/\*|\*/").search(sql, at)
        if match is None:
            return -1
        depth += 1 if match[0] == "/*" else -1
        at = match.end()
    return at
