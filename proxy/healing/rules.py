"""Rules as data: ``config/rules/*.toml`` and the founder's own files, checked when they are loaded.

A rule says where it looks (codes, exception classes, phrases, frames), under which conditions, and
what follows; its examples are run as tests. A bad file raises ``ConfigError`` that names file, rule
and fix, and the set in force stays. Founder's rules come before ours, tier by tier and file by file
after that.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proxy.data_files import data_path
from proxy.domain.failure import Category, Failure, Severity
from proxy.errors import ConfigError
from proxy.healing.phrases import PREFIX_CHARS, Phrase, compile_phrase

TIERS = ("noise", "redirect", "policy", "code", "class", "framework", "generic", "status")
"""Order of belief. ``noise`` is no category: it only marks what is nobody's bug."""
FIELDS = ("message", "body", "stack")
SOURCES = ("server", "browser", "http")
RULES_MAX = 4000
FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Example:
    """One failure in a few words; the defaults are those of a failing exchange."""

    message: str = ""
    body: str | None = None
    stack: str | None = None
    status: int | None = 500
    source_kind: str = "server"
    route: str | None = None
    redirect_chain: tuple[str, ...] = ()
    latency_ms: float | None = None
    latency_budget_ms: float | None = None

    def failure(self) -> Failure:
        return Failure(
            service="example",
            occurred_at=datetime(2000, 1, 1, tzinfo=UTC),
            message=self.message,
            body=self.body,
            stack=self.stack,
            status=self.status,
            source_kind=self.source_kind,  # type: ignore[arg-type]  # checked against SOURCES at load
            route=self.route,
            redirect_chain=self.redirect_chain,
            latency_ms=self.latency_ms,
            latency_budget_ms=self.latency_budget_ms,
        )


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    tier: str
    category: Category
    severity: Mapping[str, Severity]
    """``default`` and, when it differs, by ``5xx``, ``4xx``, ``root`` (the site's own front
    page), ``browser``, ``server``.
    """
    phrases: tuple[Phrase, ...] = ()
    codes: frozenset[str] = frozenset()
    frames: tuple[str, ...] = ()
    names: tuple[frozenset[str], ...] = ()
    """Sets of words; one name of an error holds all of one set."""
    wants: tuple[Phrase, ...] = ()
    without: tuple[Phrase, ...] = ()
    sides: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset(FIELDS)
    cycle: bool = False
    over_budget: bool = False
    reason: str | None = None
    must: tuple[Example, ...] = ()
    must_not: tuple[Example, ...] = ()
    founder: bool = False
    rank: int = 0
    """Position in the whole order; the lowest that matches decides."""


Candidate = tuple[int, Rule, Phrase | None]
"""Position in the order of belief (no two are equal), the rule, and the phrase that made it a
candidate.
"""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules in order, indexed by the words and codes that make each a candidate."""

    rules: tuple[Rule, ...]
    by_word: Mapping[str, tuple[Candidate, ...]]
    by_code: Mapping[str, tuple[Candidate, ...]]
    by_prefix: Mapping[str, tuple[Candidate, ...]]
    """Phrases that only open a word (``timeout~``), by their first ``PREFIX_CHARS`` letters."""
    unanchored: tuple[Candidate, ...]
    """Rules that look at no word and no code: status alone, a cycle, a broken budget, a frame, a
    name.
    """
    by_id: Mapping[str, Rule] = field(default_factory=dict)

    @classmethod
    def load(cls, *founder: Path) -> "RuleSet":
        """Ours and, before them, the founder's: each path is a file or a folder of ``*.toml``.

        Raises ``ConfigError`` naming file, rule and fix; keep the set in force when it does.
        """
        own = _read_all([path for given in founder for path in _files(given)], founder=True)
        ours = _read_all(_files(data_path("config", "rules")), founder=False)
        return cls.build([*own, *ours])

    @classmethod
    def build(cls, rules: Sequence[Rule]) -> "RuleSet":
        if len(rules) > RULES_MAX:
            raise ConfigError(
                f"{len(rules)} rules are more than {RULES_MAX}; drop those that never match"
            )
        ranked = tuple(_with_rank(rule, rank) for rank, rule in enumerate(rules))
        by_id: dict[str, Rule] = {}
        by_word: dict[str, list[Candidate]] = {}
        by_code: dict[str, list[Candidate]] = {}
        by_prefix: dict[str, list[Candidate]] = {}
        unanchored: list[Candidate] = []
        order = 0
        for rule in ranked:
            if rule.id in by_id:
                raise ConfigError(f"rule {rule.id!r} is there twice; give one of them another id")
            by_id[rule.id] = rule
            for code in sorted(rule.codes):
                order += 1
                by_code.setdefault(code, []).append((order, rule, None))
            for phrase in rule.phrases:
                order += 1
                index = by_prefix if phrase.opens else by_word
                key = phrase.anchor[:PREFIX_CHARS] if phrase.opens else phrase.anchor
                index.setdefault(key, []).append((order, rule, phrase))
            if not rule.phrases and not rule.codes:
                order += 1
                unanchored.append((order, rule, None))
        return cls(
            ranked,
            {key: tuple(found) for key, found in by_word.items()},
            {key: tuple(found) for key, found in by_code.items()},
            {key: tuple(found) for key, found in by_prefix.items()},
            tuple(unanchored),
            by_id,
        )


def _with_rank(rule: Rule, rank: int) -> Rule:
    return replace(rule, rank=rank)


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.toml")) if path.is_dir() else [path]


def _read_all(paths: Iterable[Path], *, founder: bool) -> list[Rule]:
    rules = [rule for path in paths for rule in read_rules(path)]
    # Founder's rules keep the order they are written in within a tier, and ours too: the sort is
    # stable.
    if founder:
        return [replace(rule, founder=True) for rule in rules]
    return sorted(rules, key=lambda rule: TIERS.index(rule.tier))


def read_rules(path: Path) -> list[Rule]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes; split it")
    try:
        tables = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    unknown = set(tables) - {"rule", "defaults"}
    if unknown:
        raise ConfigError(
            f"{path}: {sorted(unknown)[0]!r} is not known here; write [[rule]] tables"
        )
    defaults = tables.get("defaults", {})
    entries = tables.get("rule", [])
    if not isinstance(entries, list) or not isinstance(defaults, dict):
        raise ConfigError(f"{path}: write [[rule]] tables, and at most one [defaults]")
    return [
        parse_rule({**defaults, **entry}, str(path), number)
        for number, entry in enumerate(entries, 1)
    ]


_KEYS = {
    "id", "tier", "category", "severity", "text", "code", "frame", "name", "with",
    "without", "side",
    "status",
    "where",
    "cycle", "over_budget", "reason", "must", "must_not", "why",
}  # fmt: skip


def parse_rule(entry: Mapping[str, Any], origin: str, number: int = 1) -> Rule:
    """One ``[[rule]]`` table; ``ConfigError`` names origin, rule and what it takes."""
    name = entry.get("id")
    where = (
        f"{origin}: rule {name!r}"
        if isinstance(name, str) and name
        else f"{origin}: rule number {number}"
    )

    def bad(sentence: str) -> ConfigError:
        return ConfigError(f"{where}: {sentence}")

    if not isinstance(name, str) or not name:
        raise bad('needs an id, for example id = "pg.42501.rls"')
    stray = set(entry) - _KEYS
    if stray:
        raise bad(
            f"{sorted(stray)[0]!r} is not a key of a rule; known are {', '.join(sorted(_KEYS))}"
        )
    tier = entry.get("tier", "framework")
    if tier not in TIERS:
        raise bad(f"tier {tier!r} is none of {', '.join(TIERS)}")
    try:
        category = Category(entry.get("category", ""))
    except ValueError:
        raise bad(f"category {entry.get('category')!r} is none of {', '.join(Category)}") from None
    reason = entry.get("reason")
    if category is Category.UNKNOWN and tier != "noise" and not isinstance(reason, str):
        raise bad('an UNKNOWN rule says why, for example reason = "disk full"')

    def phrases(key: str) -> tuple[Phrase, ...]:
        try:
            return tuple(compile_phrase(text) for text in _texts(entry, key, bad))
        except ValueError as error:
            raise bad(f"{key}: {error}") from None

    rule = Rule(
        id=name,
        tier=tier,
        category=category,
        severity=_severities(entry.get("severity", "high"), bad),
        phrases=phrases("text"),
        codes=frozenset(_texts(entry, "code", bad)),
        frames=tuple(text.lower() for text in _texts(entry, "frame", bad)),
        names=tuple(frozenset(text.lower().split()) for text in _texts(entry, "name", bad)),
        wants=phrases("with"),
        without=phrases("without"),
        sides=_members(entry, "side", {"server", "browser", "http", "unknown"}, bad),
        statuses=_statuses(entry, bad),
        fields=_members(entry, "where", set(FIELDS), bad) or frozenset(FIELDS),
        cycle=entry.get("cycle", False) is True,
        over_budget=entry.get("over_budget", False) is True,
        reason=reason,
        must=_examples(entry, "must", bad),
        must_not=_examples(entry, "must_not", bad),
    )
    if not (
        rule.phrases
        or rule.codes
        or rule.frames
        or rule.names
        or rule.cycle
        or rule.over_budget
        or rule.statuses
    ):
        raise bad("looks at nothing; give it text, code, frame, name, cycle, over_budget or status")
    if not rule.must:
        raise bad('needs at least one example, must = ["…"]')
    return rule


def _texts(entry: Mapping[str, Any], key: str, bad: Any) -> tuple[str, ...]:
    value = entry.get(key, [])
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise bad(f"{key} takes a text or a list of texts")
    return tuple(value)


def _members(entry: Mapping[str, Any], key: str, allowed: set[str], bad: Any) -> frozenset[str]:
    values = _texts(entry, key, bad)
    for value in values:
        if value not in allowed:
            raise bad(f"{key} {value!r} is none of {', '.join(sorted(allowed))}")
    return frozenset(values)


def _statuses(entry: Mapping[str, Any], bad: Any) -> frozenset[str]:
    """``500``, ``"4xx"`` or ``"none"`` (no HTTP answer exists)."""
    value = entry.get("status", [])
    values = value if isinstance(value, list) else [value]
    for item in values:
        fits = item in ("4xx", "5xx", "3xx", "2xx", "none") or (
            isinstance(item, int) and 100 <= item <= 599
        )
        if not fits:
            raise bad(f'status {item!r} is no status, no class such as "5xx" and not "none"')
    return frozenset(str(item) for item in values)


_SEVERITY_KEYS = {"default", "5xx", "4xx", "3xx", "root", "browser", "server", "none"}


def _severities(value: Any, bad: Any) -> Mapping[str, Severity]:
    table = {"default": value} if isinstance(value, str) else value
    if not isinstance(table, dict) or "default" not in table or set(table) - _SEVERITY_KEYS:
        raise bad(
            "severity is a word, or a table with default and any of "
            f"{', '.join(sorted(_SEVERITY_KEYS))}"
        )
    try:
        return {key: Severity(word) for key, word in table.items()}
    except ValueError:
        raise bad(f"severity is one of {', '.join(Severity)}") from None


def _examples(entry: Mapping[str, Any], key: str, bad: Any) -> tuple[Example, ...]:
    value = entry.get(key, [])
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise bad(
            f'{key} is a list of messages or of tables such as {{ message = "…", status = 400 }}'
        )
    found = []
    for item in value:
        table: dict[str, Any] | None = None
        if isinstance(item, str):
            table = {"message": item}
        elif isinstance(item, dict):
            table = dict(item)
        if table is None or set(table) - set(Example.__slots__):
            raise bad(f"{key}: an example has {', '.join(Example.__slots__)}")
        if table.get("source_kind", "server") not in SOURCES:
            raise bad(f"{key}: source_kind is one of {', '.join(SOURCES)}")
        if table.get("source_kind") == "browser":
            table.setdefault("status", 0)
        table["status"] = table.get("status", 500) or None
        table["redirect_chain"] = tuple(table.get("redirect_chain", ()))
        found.append(Example(**table))
    return tuple(found)
