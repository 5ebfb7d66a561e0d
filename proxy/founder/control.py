"""The founder's own rules and thresholds: versioned in the database, imported from
``config/control.toml``.

Rules match a subject and tighten what happens to it: raise its risk, forbid it, ask twice, leave it
to one member; or mute what is told about it. There is no effect that lowers or permits anything, so
a careless file can cost time but never a gate, and the database refuses rules of any other kind.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from proxy.domain.approval import ItemType
from proxy.domain.failure import Category, Severity
from proxy.errors import ConfigError, Invalid
from proxy.store import control as control_store

RULES_MAX = 200
PATTERNS_MAX = 50
AUTO_RISK_MAX = 19
"""The highest score that is still ``low``; thresholds may only go below it."""

Effect = Literal["force_risk", "forbid", "ask_twice", "mute", "assign"]
MEMBER = r"^[a-z][a-z0-9_]{0,31}$"
_HOURS = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")
Patterns = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule is held against: one thing that wants a yes, or (no item) to be told about."""

    item: ItemType | None
    category: Category | None = None
    route: str | None = None
    files: tuple[str, ...] = ()
    author: str = ""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Model):
    """Every condition that is given must hold; a list holds when one of its entries matches."""

    name: str = Field(min_length=1, max_length=63)
    effect: Effect
    risk: Severity | None = None
    to: str | None = Field(None, pattern=MEMBER)
    items: tuple[ItemType, ...] = ()
    categories: tuple[Category, ...] = ()
    routes: Patterns = Field((), max_length=PATTERNS_MAX)
    paths: Patterns = Field((), max_length=PATTERNS_MAX)
    authors: Patterns = Field((), max_length=PATTERNS_MAX)
    hours: str | None = None

    @field_validator("hours")
    @classmethod
    def _window(cls, value: str | None) -> str | None:
        if value is not None and not _HOURS.match(value):
            raise ValueError("hours are written 22:00-06:00, in UTC")
        return value

    @model_validator(mode="after")
    def _whole(self) -> "Rule":
        if (self.effect == "force_risk") != (self.risk is not None):
            raise ValueError("force_risk needs a risk, and no other effect takes one")
        if (self.effect == "assign") != (self.to is not None):
            raise ValueError("assign needs the member it goes `to`, and no other effect takes one")
        return self

    def matches(self, subject: Subject, now: datetime) -> bool:
        return (
            (not self.items or subject.item in self.items)
            and (not self.categories or subject.category in self.categories)
            and _any(self.routes, (subject.route or "",))
            and _any(self.paths, subject.files)
            and _any(self.authors, (subject.author,))
            and (self.hours is None or _within(self.hours, now.timetz().replace(tzinfo=None)))
        )


class Thresholds(_Model):
    auto_risk_max: int = Field(AUTO_RISK_MAX, ge=0, le=AUTO_RISK_MAX)


class ControlRules(_Model):
    """What one version holds. ``imported_sha256`` names the file it last came from."""

    thresholds: Thresholds = Thresholds()
    rules: tuple[Rule, ...] = Field((), max_length=RULES_MAX)
    imported_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Firing:
    """What the rules make of one subject. ``fired`` names them, for the refusal and the audit."""

    risk: Severity
    forbidden_by: str | None = None
    ask_twice_by: str | None = None
    muted_by: str | None = None
    assigned_to: str | None = None
    fired: tuple[str, ...] = ()


class FounderControlConfig:
    """One version of the rules, ready to be asked."""

    def __init__(self, rules: ControlRules, version: int = 0) -> None:
        self.rules = rules
        self.version = version

    @property
    def auto_risk_max(self) -> int:
        return self.rules.thresholds.auto_risk_max

    def judge(self, subject: Subject, risk: Severity, now: datetime) -> Firing:
        """``risk`` raised where a rule says so, and what is forbidden or asked twice."""
        fired = [rule for rule in self.rules.rules if rule.matches(subject, now)]
        forced = [rule.risk for rule in fired if rule.risk is not None]
        first = {rule.effect: rule for rule in reversed(fired)}
        raised = max([risk, *forced], key=lambda level: level.rank)
        return Firing(
            raised,
            _name(first.get("forbid")),
            _name(first.get("ask_twice")),
            # what is critical is told whatever a rule says
            None if raised is Severity.CRITICAL else _name(first.get("mute")),
            first["assign"].to if "assign" in first else None,
            tuple(rule.name for rule in fired),
        )


def _name(rule: Rule | None) -> str | None:
    return None if rule is None else rule.name


def parse_rules(data: Any) -> ControlRules:
    """``Invalid`` (code ``bad_rules``) names the field and what it takes."""
    try:
        return ControlRules.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "rules"
        raise Invalid(f"{where}: {first['msg']}", code="bad_rules") from None


def read_rules(path: Path) -> ControlRules:
    """A file's rules and the digest of its bytes. ``ConfigError`` when it cannot be taken."""
    raw, data = read_toml(path)
    try:
        rules = parse_rules({key: value for key, value in data.items() if key != "cases"})
    except Invalid as error:
        raise ConfigError(f"{path}: {error}") from None
    return rules.model_copy(update={"imported_sha256": hashlib.sha256(raw).hexdigest()})


def read_toml(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Bytes and content; ``[[cases]]`` are for `selfheal config check`, not for the rules."""
    try:
        raw = path.read_bytes()
        return raw, tomllib.loads(raw.decode("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


async def load(conn: asyncpg.Connection) -> FounderControlConfig:
    """The highest version. A row that no longer parses counts as "forbid all automatic answers"."""
    stored = await control_store.get_control(conn)
    if stored is None:
        return FounderControlConfig(ControlRules())
    try:
        return FounderControlConfig(parse_rules(stored.rules), stored.version)
    except Invalid:
        strictest = ControlRules(thresholds=Thresholds(auto_risk_max=0))
        return FounderControlConfig(strictest, stored.version)


async def import_file(conn: asyncpg.Connection, path: Path) -> int | None:
    """Make the file a new version when it is not the one imported last; its number, or None."""
    rules = read_rules(path)
    stored = await control_store.get_control(conn)
    if stored is None and rules == ControlRules(imported_sha256=rules.imported_sha256):
        return None  # the shipped file says nothing yet, and nothing is what holds already
    if stored is not None and stored.rules.get("imported_sha256") == rules.imported_sha256:
        return None
    made = await control_store.put_control(
        conn,
        rules.model_dump(mode="json", exclude_none=True),
        based_on=0 if stored is None else stored.version,
        reason=f"imported from {path.name}",
    )
    return made.version


def _any(patterns: Patterns, values: Iterable[str]) -> bool:
    """No pattern is no condition. ``**`` and ``*`` both cross slashes: a rule is meant to catch."""
    return not patterns or any(fnmatchcase(v, p) for p in patterns for v in values)


def _within(hours: str, moment: time) -> bool:
    match = _HOURS.match(hours)
    assert match is not None, "validated when the rule was read"
    begin, end = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    if begin <= end:
        return begin <= moment < end
    return moment >= begin or moment < end
