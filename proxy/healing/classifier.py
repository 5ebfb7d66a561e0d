"""``ErrorClassifier``: the first rule that matches, in order of belief, with its evidence.

Facts first (``facts``), then candidates by word and code, then each candidate's conditions. No
rule, no category: the answer is UNKNOWN with a reason and a severity. Work is bounded by
``TRIES_MAX`` whatever the text; nothing here keeps state, reads a clock or asks a network.
"""

from proxy.domain.failure import Category, Classification, Evidence, Failure, Severity
from proxy.healing.facts import Facts, View, gather
from proxy.healing.facts.text import line_at
from proxy.healing.phrases import PREFIX_CHARS, Phrase
from proxy.healing.rules import Candidate, Rule, RuleSet
from proxy.healing.signature import signature_of

TRIES_MAX = 60
"""Cost of the phrases tried on one failure (plain 1, pattern 4); only a text made of our own
words needs more.
"""
CANDIDATES_MAX = 200
"""Phrases looked at by their words, and by how words begin; a real error page needs below 150."""
EVIDENCE_MAX = 3
EXCERPT_CHARS = 160

_BY_STATUS = {
    429: (Severity.MEDIUM, "a rate limit or quota"),
    402: (Severity.MEDIUM, "payment required"),
    502: (Severity.HIGH, "a broken upstream, no word about why"),
    503: (Severity.HIGH, "unavailable, no word about why"),
}


class ErrorClassifier:
    """Pure: the same failure gets the same classification, always. ``rules`` may be swapped for a
    reloaded set.
    """

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules

    def classify(self, failure: Failure) -> Classification:
        facts = gather(failure)
        found, noise = self._decide(facts)
        if found is None:
            severity, reason = _no_evidence(facts)
            signature, text = signature_of(failure, Category.UNKNOWN, facts)
            evidence = (noise,) if noise else ()
            return Classification(
                Category.UNKNOWN,
                severity,
                "none",
                signature,
                text,
                evidence,
                reason,
                noise is not None,
            )
        rule, evidence_of = found
        signature, text = signature_of(failure, rule.category, facts, evidence_of)
        return Classification(
            category=rule.category,
            severity=_severity(rule, facts, failure.severity),
            rule=rule.id,
            signature=signature,
            signature_text=text,
            evidence=(evidence_of, *((noise,) if noise else ())),
            reason=rule.reason,
            noise=noise is not None,
        )

    def _decide(self, facts: Facts) -> tuple[tuple[Rule, Evidence] | None, Evidence | None]:
        noise: Evidence | None = None
        budget = TRIES_MAX
        done: set[int] = set()
        for _, rule, phrase in self._candidates(facts):
            if rule.rank in done or not _allowed(rule, facts):
                continue
            if phrase is not None:
                budget -= phrase.cost
                if budget < 0:
                    return None, noise
            evidence = _matches(rule, phrase, facts)
            if evidence is None:
                continue
            if rule.tier == "noise":
                noise = noise or evidence
                done.add(rule.rank)
                continue
            return (rule, evidence), noise
        return None, noise

    def _candidates(self, facts: Facts) -> list[Candidate]:
        """Rules that may match, by order of belief; a phrase needs every one of its words in the
        text.
        """
        by_word, by_prefix, by_code = self.rules.by_word, self.rules.by_prefix, self.rules.by_code
        words: dict[str, None] = {}
        for view in facts.views:
            words.update(dict.fromkeys(view.order))
        present = frozenset(words)
        found = list(self.rules.unanchored)
        for code in facts.codes:
            for key in _code_keys(code.kind, code.value):
                found.extend(by_code.get(key, ()))
        room = CANDIDATES_MAX
        for word in [word for word in words if word in by_word]:
            named = by_word[word]
            room -= len(named)
            found.extend(c for c in named if c[2] is not None and c[2].need <= present)
            if room < 0:
                break
        room = CANDIDATES_MAX
        for word in [word for word in words if word[:PREFIX_CHARS] in by_prefix]:
            opened = by_prefix[word[:PREFIX_CHARS]]
            room -= len(opened)
            found.extend(
                c for c in opened if c[2] and word.startswith(c[2].anchor) and c[2].need <= present
            )
            if room < 0:
                break
        found.sort()
        return found


def _code_keys(kind: str, value: str) -> tuple[str, ...]:
    """``sqlstate:23505``, and its families ``sqlstate:23*`` and ``sqlstate:*``."""
    return (f"{kind}:{value}", *(f"{kind}:{value[:n]}*" for n in range(len(value) - 1, -1, -1)))


def _matches(rule: Rule, phrase: Phrase | None, facts: Facts) -> Evidence | None:
    evidence = _evidence(rule, phrase, facts)
    if evidence is None:
        return None
    if rule.wants and not any(
        _found(wanted, view) for wanted in rule.wants for view in facts.views
    ):
        return None
    if any(_found(barred, view) for barred in rule.without for view in facts.views):
        return None
    return evidence


def _allowed(rule: Rule, facts: Facts) -> bool:
    if rule.cycle and not facts.cycle:
        return False
    if rule.over_budget and not facts.over_budget:
        return False
    if (
        rule.sides
        and (facts.side or "unknown") not in rule.sides
        and not ("http" in rule.sides and facts.source == "http")
    ):
        return False
    if rule.statuses and not _status_fits(rule.statuses, facts.status):
        return False
    return not rule.frames or any(part in facts.trace_text for part in rule.frames)


def _status_fits(wanted: frozenset[str], status: int | None) -> bool:
    if status is None:
        return "none" in wanted
    return str(status) in wanted or f"{status // 100}xx" in wanted


def _evidence(rule: Rule, phrase: Phrase | None, facts: Facts) -> Evidence | None:
    if phrase is not None:
        for view in facts.views:
            if view.field not in rule.fields:
                continue
            at = _found(phrase, view)
            if at is not None and not (rule.tier == "generic" and _inside_address(view, at)):
                return Evidence(rule.id, view.field, _excerpt(view, at))
        return None
    if rule.codes:
        for code in facts.codes:
            if code.field in rule.fields and any(
                key in rule.codes for key in _code_keys(code.kind, code.value)
            ):
                return Evidence(rule.id, code.field, code.excerpt[:EXCERPT_CHARS])
        return None
    if rule.names:
        named = next(
            (
                name
                for name in facts.names
                if name.field in rule.fields and any(words <= name.parts for words in rule.names)
            ),
            None,
        )
        return Evidence(rule.id, named.field, named.excerpt) if named is not None else None
    if rule.cycle:
        return Evidence(rule.id, "redirect_chain", " > ".join(facts.cycle)[:EXCERPT_CHARS])
    if rule.over_budget:
        return Evidence(rule.id, "latency_ms", facts.over_budget)
    if rule.frames:
        part = next(part for part in rule.frames if part in facts.trace_text)
        return Evidence(rule.id, "stack", part)
    return Evidence(rule.id, "status", str(facts.status))


def _found(phrase: Phrase, view: View) -> tuple[int, int] | None:
    return phrase.find(view.low) if phrase.need <= view.words else None


def _inside_address(view: View, at: tuple[int, int]) -> bool:
    """Whether generic words stand inside a URL or path, where they say nothing."""
    start = (
        max(
            view.low.rfind(" ", max(0, at[0] - 200), at[0]),
            view.low.rfind("\n", max(0, at[0] - 200), at[0]),
        )
        + 1
    )
    head = view.low[start : at[0]]
    return "://" in head or (head.startswith(("/", "./")) and " " not in view.low[at[0] : at[1]])


def _excerpt(view: View, at: tuple[int, int]) -> str:
    text = view.text[at[0] : at[1]]
    if len(text) < 40:
        text = line_at(view.text, *at, width=60)
    return " ".join(text.split())[:EXCERPT_CHARS]


def _severity(rule: Rule, facts: Facts, measured: Severity | None) -> Severity:
    if measured is not None and not rule.founder:
        return measured
    table = rule.severity
    if "root" in table and facts.route == "/":
        return table["root"]
    if (
        facts.status is not None
        and (by_status := table.get(f"{facts.status // 100}xx")) is not None
    ):
        return by_status
    if facts.status is None and "none" in table:
        return table["none"]
    if facts.side in table:
        return table[facts.side]
    return table["default"]


def _no_evidence(facts: Facts) -> tuple[Severity, str]:
    status = facts.status
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status is None:
        return Severity.HIGH, "an event without HTTP answer and without words we know"
    if status >= 500:
        return Severity.HIGH, f"status {status} and no evidence of what broke"
    if status >= 400:
        return Severity.MEDIUM, f"status {status} and no evidence of why"
    return Severity.MEDIUM, "no evidence for any category"
