"""Phrase → intent, without a model: an ordered table of patterns, read from the top.

Pure. Knows words and ids, nothing of jobs. What no line understands is ``unknown``, never a guess.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from proxy.domain.failure import Category, Severity

TEXT_CHARS_MAX = 4000


class Intent(StrEnum):
    DIAGNOSE = "diagnose_system_issue"
    LIST_JOBS = "list_self_healing_jobs"
    JOB_DETAILS = "get_job_details"
    HEALTH = "get_health_summary"
    CLASSIFY = "classify_error"
    PROPOSE = "propose_patch"
    EXPLAIN_PATCH = "explain_patch"
    NEXT = "what_next"
    GUIDE = "guide_approval"
    DIGEST = "digest"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Understood:
    """What was asked: the intent, the ids named in the order they came, and the filters."""

    intent: Intent
    jobs: tuple[int, ...] = ()
    patches: tuple[int, ...] = ()
    approvals: tuple[int, ...] = ()
    severity: Severity | None = None
    category: Category | None = None
    rest: str = ""
    """For ``classify_error``: the error text itself, untouched."""


_ID = re.compile(
    r"(?<![\w-])(?:(job|patch|approval|item|[jpa])[\s#-]{0,3})([1-9]\d{0,17})(?![\w-])", re.I
)
_LETTER = {"job": "j", "patch": "p", "approval": "a", "item": "a"}
_CLASSIFY = re.compile(
    r"^\s*/?(?:please\s+)?classify(?:_error|\s+(?:this\s+)?error)?\b\s*[:,-]?\s*(.*)$", re.I | re.S
)

_TABLE: tuple[tuple[Intent, tuple[str, ...]], ...] = (
    # the design's own names come first: other programs send them as they are
    (Intent.DIAGNOSE, (r"diagnose_system_issue",)),
    (Intent.LIST_JOBS, (r"list_self_healing_jobs", r"list_?open_?jobs")),
    (Intent.JOB_DETAILS, (r"get_job_details",)),
    (Intent.HEALTH, (r"get_health_summary",)),
    (Intent.PROPOSE, (r"propose_patch",)),
    (Intent.EXPLAIN_PATCH, (r"explain_patch",)),
    (Intent.NEXT, (r"what_next",)),
    (Intent.DIGEST, (r"\b(digest|daily|weekly|monthly|report)\b",)),
    (
        Intent.NEXT,
        (
            r"\bwhat\w*\b.*\b(next|now|first)\b",
            r"^/?next\b|\bnext steps?\b|\bto ?do\b|\bwhere do i start\b",
            r"\bwhat (should|shall|do|can|must) i do\b|\bwhat needs (me|my)\b",
            r"\b(waits?|waiting|pending) for (me|my|a decision)\b",
            r"\bpending (approvals?|decisions?)\b",
        ),
    ),
    (
        Intent.PROPOSE,
        (
            r"\b(propose|suggest|write|draft|make|attach|send|create)\b.*\b(patch|fix|change|diff)\b",
            r"\bhow (do|can|could|would) (i|we|you) (fix|repair|heal)\b|\b(fix|heal|repair)\b",
        ),
    ),
    (
        Intent.GUIDE,
        (r"\b(approve|reject|apply|roll ?back|sandbox|merge|deny|decide|decision)\b",),
    ),
    (
        Intent.HEALTH,
        (
            r"\bhealth\b|\b(system|service|app) status\b|^/?status\b|\b(score|uptime)\b",
            r"\bhow (are|is) (we|it|things|everything|the (system|app|service))\b",
            r"\bare we (ok|okay|up|fine)\b",
        ),
    ),
    (
        Intent.DIAGNOSE,
        (
            r"\bwhats? (is |are |went |goes |going )?(broken|wrong|failing|down|happening|up)\b",
            r"\bdiagnos\w*|\banything (broken|wrong|failing)\b|\bproblems?\b|\broot cause\b",
            r"\bwhy\b.*\b(fail\w*|broken|slow|down|errors?)\b|\btroubleshoot\b",
            r"\bwhat (fails|broke|breaks)\b",
        ),
    ),
    (
        Intent.LIST_JOBS,
        (
            (
                r"\b(open|pending|critical|high|medium|low|list|show|all|which|my)\b.*"
                r"\b(issues?|jobs?|errors?|bugs?|failures?)\b"
            ),
            r"^/?(jobs?|issues?|errors?|bugs?)\b",
        ),
    ),
)
_COMPILED = tuple((intent, re.compile("|".join(patterns))) for intent, patterns in _TABLE)

_CATEGORY_WORDS: tuple[tuple[Category, str], ...] = (
    (Category.RLS_VIOLATION, r"\brls\b|row.level"),
    (Category.AUTH_FAILURE, r"\bauth(entication|orization)?\b|\blogin\b"),
    (Category.SSR_HYDRATION, r"\bhydration\b|\bssr\b"),
    (Category.API_SCHEMA, r"\bschema\b|\bvalidation\b"),
    (Category.PERFORMANCE, r"\bperformance\b|\bslow\b|\blatency\b"),
    (Category.UI_BUG, r"\bui\b|\bbrowser\b"),
    (Category.REDIRECT_LOOP, r"\bredirect\b"),
    (Category.DB_ERROR, r"\bdb\b|\bdatabase\b"),
)


def understand(text: str) -> Understood:
    """The intent of one phrase. Case, punctuation, curly quotes and politeness do not matter."""
    text = text[:TEXT_CHARS_MAX]
    if (found := _CLASSIFY.match(text)) is not None and found[1].strip():
        return Understood(Intent.CLASSIFY, rest=found[1].strip())
    plain = _plain(text)
    ids: dict[str, list[int]] = {"j": [], "p": [], "a": []}
    for word, number in _ID.findall(text):
        ids[_LETTER.get(word.lower(), word.lower())].append(int(number))
    intent = next((i for i, pattern in _COMPILED if pattern.search(plain)), Intent.UNKNOWN)
    return Understood(
        _by_ids(intent, ids),
        tuple(dict.fromkeys(ids["j"])),
        tuple(dict.fromkeys(ids["p"])),
        tuple(dict.fromkeys(ids["a"])),
        next((s for s in reversed(Severity) if re.search(rf"\b{s.value}\b", plain)), None),
        next((c for c, pattern in _CATEGORY_WORDS if re.search(pattern, plain)), None),
    )


def _by_ids(intent: Intent, ids: dict[str, list[int]]) -> Intent:
    """An id says what is meant, unless the words ask for a deed, a fix or the next step."""
    if intent in (Intent.GUIDE, Intent.PROPOSE, Intent.NEXT):
        return intent
    if ids["p"]:
        return Intent.EXPLAIN_PATCH
    if ids["a"]:
        return Intent.GUIDE
    return Intent.JOB_DETAILS if ids["j"] else intent


def _plain(text: str) -> str:
    lowered = text.lower().replace("\u2019", "'").replace("\u2018", "'")
    lowered = re.sub(r"[^\w\s'/-]", " ", lowered)
    return " ".join(lowered.replace("'s", "s").replace("'", "").split())
