"""`selfheal config check FILE --cases`: the founder's rules tried on examples, before they are in
force. Reads files, knows no database.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proxy.clock import SystemClock
from proxy.domain.approval import ItemType
from proxy.domain.failure import Category, Severity
from proxy.errors import ConfigError
from proxy.founder.control import (
    Firing,
    FounderControlConfig,
    Subject,
    read_rules,
    read_toml,
)

CASES_MAX = 1000
RULE_KEYS = frozenset({"rules", "thresholds", "cases"})


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expected(_Model):
    """Only what is written is compared; ``forbidden_by = ""`` says that no rule may forbid it."""

    risk: Severity | None = None
    forbidden_by: str | None = None
    ask_twice_by: str | None = None
    muted_by: str | None = None
    assigned_to: str | None = None
    fired: tuple[str, ...] | None = None


class Case(_Model):
    name: str = Field(min_length=1, max_length=200)
    item: ItemType | None = None
    category: Category | None = None
    route: str | None = None
    files: tuple[str, ...] = ()
    author: str = ""
    risk: Severity = Severity.LOW
    at: datetime | None = None
    expect: Expected

    def subject(self) -> Subject:
        return Subject(self.item, self.category, self.route, self.files, self.author)


def is_rules(path: Path) -> bool:
    """Whether a file holds rules and not settings. One that cannot be read is neither."""
    try:
        keys = set(read_toml(path)[1])
    except ConfigError:
        return False
    return bool(keys) and keys <= RULE_KEYS


def read_cases(path: Path) -> list[Case]:
    """``[[cases]]`` of a TOML file. ``ConfigError`` names the case and the field."""
    found = read_toml(path)[1].get("cases", [])
    if not isinstance(found, list) or len(found) > CASES_MAX:
        raise ConfigError(f"{path}: cases are [[cases]] tables, at most {CASES_MAX}")
    cases = []
    for number, data in enumerate(found, 1):
        try:
            cases.append(Case.model_validate(data))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{path}: case {number}: {where}: {first['msg']}") from None
    return cases


def misses(config: FounderControlConfig, case: Case, now: datetime) -> list[str]:
    """What came out otherwise than expected; empty when the case holds."""
    at = case.at or now
    firing = config.judge(case.subject(), case.risk, at if at.tzinfo else at.replace(tzinfo=UTC))
    wrong = []
    for name in case.expect.model_fields_set:
        wanted, came = getattr(case.expect, name), _came(firing, name)
        if wanted != came:
            wrong.append(f"{name} is {_shown(came)}, not {_shown(wanted)}")
    return sorted(wrong)


def _came(firing: Firing, name: str) -> Any:
    found = getattr(firing, name)
    return "" if found is None else found


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(value) + "]"
    return repr(str(value)) if value else "nothing"


def check_rules(path: Path, cases_file: str | None, *, as_json: bool) -> int:
    """0 when the rules can be taken and every case holds, 1 when one does not. With ``cases_file``
    None no case is tried; "" means the file's own.
    """
    config = FounderControlConfig(read_rules(path))
    cases = [] if cases_file is None else read_cases(Path(cases_file) if cases_file else path)
    if cases_file is not None and not cases:
        raise ConfigError(f"{cases_file or path}: there are no [[cases]] to try")
    now = SystemClock().now()
    told = [(case.name, misses(config, case, now)) for case in cases]
    failed = sum(bool(wrong) for _, wrong in told)
    if as_json:
        tried = [{"name": name, "ok": not wrong, "wrong": wrong} for name, wrong in told]
        facts = {"file": str(path), "ok": not failed, "rules": len(config.rules.rules)}
        sys.stdout.write(json.dumps(facts | {"cases": tried}) + "\n")
    else:
        for name, wrong in told:
            sys.stdout.write(f"{'✗' if wrong else '✓'} {name}{': ' if wrong else ''}")
            sys.stdout.write("; ".join(wrong) + "\n")
        rules = len(config.rules.rules)
        sys.stdout.write(f"{path}: {rules} rules, {len(told) - failed} of {len(told)} cases hold\n")
    return 1 if failed else 0
