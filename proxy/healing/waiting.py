"""What waits in a data worker to be stored: one entry per bug, counts added up, everything bounded.

Beyond the bound, and while the database says that too many new bugs come at once, whatever is new
is counted together as one storm: the exact number is kept, the texts are not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from uuid import UUID

from proxy.domain.facet import keys
from proxy.domain.failure import Category, Classification, Failure, Severity, Signature
from proxy.domain.sketch import kept, smallest
from proxy.healing.shelf import Entry
from proxy.store.grouping import SplitKey
from proxy.store.recording import STORM_RULE, StormLimit, storm_classification

SIGNATURES_MAX = 2000
"""Distinct bugs that may wait at once; far more than any app has, so only an attack meets it."""
LINKED_MAX = 50
"""Log rows kept per waiting signature: as many as a job shows."""

Key = tuple[str, ...]
"""Service, environment, signature, and the facets where the founder split that signature."""


@dataclass(slots=True)
class Waiting:
    failure: Failure
    classification: Classification
    count: int = 1
    log_ids: list[UUID] = field(default_factory=list)
    clients: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, failure: Failure, classification: Classification, count: int) -> "Waiting":
        log_ids = [] if failure.log_id is None else [failure.log_id]
        return cls(failure, classification, count, log_ids, kept(failure.client))

    def entry(self) -> Entry:
        """For the shelf."""
        return (
            self.failure,
            self.classification,
            self.count,
            tuple(self.log_ids),
            tuple(self.clients),
        )

    def join(self, newer: "Waiting") -> None:
        self.count += newer.count
        if newer.failure.occurred_at >= self.failure.occurred_at:
            self.failure = _with_request(newer.failure, self.failure)
            worse = max(self.classification.severity, newer.classification.severity, key=_rank)
            self.classification = replace(newer.classification, severity=worse)
        self.log_ids = [*self.log_ids, *newer.log_ids][-LINKED_MAX:]
        self.clients = smallest((*self.clients, *newer.clients))


class WaitingRoom:
    """Entries by bug, in the order of their first failure."""

    def __init__(self, storm: StormLimit) -> None:
        self.storm = storm
        self.splits: frozenset[SplitKey] = frozenset()
        self.known: frozenset[SplitKey] | None = None
        """While a storm lasts: the signatures that have jobs and are still told one by one."""
        self._entries: dict[Key, Waiting] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._entries.values())

    @property
    def failures(self) -> int:
        return sum(entry.count for entry in self)

    def add(self, new: Waiting) -> None:
        key = self._key(new)
        if key not in self._entries and (
            self.is_too_much(new) or (len(self._entries) >= SIGNATURES_MAX and not _is_storm(new))
        ):
            said = storm_classification(new.classification, self.storm)
            new = replace(new, classification=said)
            key = self._key(new)
        known = self._entries.get(key)
        if known is None:
            self._entries[key] = new
        else:
            known.join(new)

    def add_unread(self, failure: Failure) -> None:
        """A failure nobody had the time to classify; the storm's own words stand for it."""
        said = Classification(
            Category.UNKNOWN, Severity.HIGH, "none", Signature("v1:unread"), "unread"
        )
        self.add(Waiting.of(failure, storm_classification(said, self.storm), 1))

    def pop(self) -> Waiting | None:
        """The one that waits longest."""
        key = next(iter(self._entries), None)
        return None if key is None else self._entries.pop(key)

    def _key(self, entry: Waiting) -> Key:
        bug = _bug(entry)
        return (*bug, *keys(entry.failure)) if bug in self.splits else bug

    def is_too_much(self, new: Waiting) -> bool:
        """Whether a storm lasts, and this has no job of its own yet."""
        return self.known is not None and not _is_storm(new) and _bug(new) not in self.known


def _rank(severity: Severity) -> int:
    return severity.rank


def _is_storm(entry: Waiting) -> bool:
    return entry.classification.rule == STORM_RULE


def _bug(entry: Waiting) -> SplitKey:
    failure = entry.failure
    return (failure.service, failure.environment, str(entry.classification.signature))


def _with_request(newer: Failure, older: Failure) -> Failure:
    """The newest failure, with a request that can be replayed if either has one."""
    if newer.request is not None and not newer.request.truncated:
        return newer
    if older.request is None or (older.request.truncated and newer.request is not None):
        return newer
    return replace(newer, request=older.request)
