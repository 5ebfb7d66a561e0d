"""The founder's own rules, put in force while everything runs.

Looked at every few seconds; a changed file is read, its examples are tried, and only then do the
new rules decide. A bad file is named once in the log, and the set in force stays.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from proxy.errors import ConfigError
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.rules import Rule, RuleSet

_log = logging.getLogger("selfheal.rules")

LOOK_EVERY_S = 2.0
Stamp = tuple[tuple[str, int, int], ...]


class LiveRules:
    """Keeps ``classifier`` on the newest good rules; ``on_change`` hears of every new set."""

    def __init__(
        self,
        classifier: ErrorClassifier,
        path: str,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        """The setting ``healing.rules``; a reload may change it."""
        self._classifier = classifier
        self._on_change = on_change
        self._seen: tuple[str, Stamp] = ("", ())

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Read the rules if anything about their files has changed. Never raises."""
        try:
            seen = (self.path, await asyncio.to_thread(stamp_of, self.path))
            if seen == self._seen:
                return
            self._seen = seen
            rules = await asyncio.to_thread(load_checked, self.path)
        except ConfigError as error:
            _log.error("your rules are not in force, those before them are: %s", error)
            return
        except Exception:
            _log.exception("your rules could not be read; those before them stay in force")
            return
        self._classifier.rules = rules
        self._on_change()
        own = sum(rule.founder for rule in rules.rules)
        _log.info("%d rules in force, %d of them yours", len(rules.rules), own)


def stamp_of(path: str) -> Stamp:
    """Name, time and size of every file of the path; nothing for no path or a missing one."""
    if not path:
        return ()
    where = Path(path)
    files = sorted(where.glob("*.toml")) if where.is_dir() else [where]
    found = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        found.append((str(file), status.st_mtime_ns, status.st_size))
    return tuple(found)


def load_checked(path: str) -> RuleSet:
    """Ours with the founder's before them, whose own examples hold. ``ConfigError`` otherwise."""
    rules = RuleSet.load(*([Path(path)] if path else []))
    judge = ErrorClassifier(rules)
    for rule in rules.rules:
        if rule.founder:
            _try_examples(rule, judge)
    return rules


def _try_examples(rule: Rule, judge: ErrorClassifier) -> None:
    for wanted, examples in ((True, rule.must), (False, rule.must_not)):
        for example in examples:
            said = judge.classify(example.failure())
            decided = said.rule == rule.id or (
                rule.tier == "noise" and any(e.rule == rule.id for e in said.evidence)
            )
            if decided is not wanted:
                text = example.message or example.body or "its example"
                raise ConfigError(
                    f"rule {rule.id!r} {'must' if wanted else 'must not'} match "
                    f"{text[:80]!r}, and {'does not' if wanted else 'does'}: {said.rule!r} decides"
                )
