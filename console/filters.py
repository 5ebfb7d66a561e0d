"""The filter line of the lists: ``status:open sev>=high cat:DB_ERROR checkout``. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from console.format import SEVERITY_RANK
from proxy.contract.audit import AuditView
from proxy.contract.jobs import JobView

FILTER_MAX = 200
"""Characters of a filter; more is no question anybody types."""

_SEVERITIES = {
    "crit": "critical",
    "critical": "critical",
    "high": "high",
    "med": "medium",
    "medium": "medium",
    "low": "low",
}


@dataclass(frozen=True, slots=True)
class JobFilter:
    """``status`` None means the open ones, ``all`` every one."""

    text: str = ""
    words: tuple[str, ...] = ()
    status: str | None = None
    category: str | None = None
    severity: str | None = None
    at_least: str | None = None

    def takes(self, job: JobView) -> bool:
        if self.status not in (None, "all", job.status):
            return False
        if self.category is not None and self.category not in job.category:
            return False
        if self.severity is not None and job.severity != self.severity:
            return False
        if self.at_least is not None and (
            SEVERITY_RANK[job.severity] > SEVERITY_RANK[self.at_least]
        ):
            return False
        text = f"{job.id} {job.method} {job.route} {job.signature_text} {job.category}".lower()
        return all(word in text for word in self.words)


def parse_job_filter(text: str) -> JobFilter:
    """Whatever is no known word is text to look for; nothing typed is an error."""
    shown = text.strip()[:FILTER_MAX]
    known: dict[str, str] = {}
    words: list[str] = []
    for word in shown.split():
        found = _known(word)
        if found is None:
            words.append(word.lower())
        else:
            known[found[0]] = found[1]
    return JobFilter(text=shown, words=tuple(words), **known)


def _known(word: str) -> tuple[str, str] | None:
    head, _, tail = word.partition(":")
    if head in ("status", "st") and tail:
        return "status", tail.lower()
    if head in ("category", "cat") and tail:
        return "category", tail.upper()
    for sign, key in ((">=", "at_least"), (":", "severity")):
        name, _, value = word.partition(sign)
        if name in ("severity", "sev") and value.lower() in _SEVERITIES:
            return key, _SEVERITIES[value.lower()]
    return None


def audit_filter(text: str) -> Callable[[AuditView], bool]:
    """``actor:founder action:approve P-1`` and plain words."""
    words = text.strip()[:FILTER_MAX].lower().split()

    def takes(entry: AuditView) -> bool:
        whole = f"{entry.actor} {entry.role} {entry.action} {entry.subject} {entry.reason or ''}"
        return all(_takes_word(word, entry, whole.lower()) for word in words)

    return takes


def _takes_word(word: str, entry: AuditView, whole: str) -> bool:
    key, _, value = word.partition(":")
    fields = {"actor": entry.actor, "action": entry.action, "subject": entry.subject}
    if value and key in fields:
        return value in fields[key].lower()
    return word in whole
