"""Path → route template: ``/orders/4711`` is ``/orders/{id}``. Bounded against a scanner's random
paths.

Shape alone names ids, UUIDs, hashes, dates; slugs are learned, when one place in the path has shown
too many different words to be part of the program. A template earns one of the ``TEMPLATES_MAX``
places by an answer that proves it exists; answers that an app may give to any path at all (a
redirect to the login, a 403, a 502) can take half of the places at most. So random paths neither
grow memory nor push real routes out. Knows nothing of what is measured per route.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.observability.share import Share

TEMPLATES_MAX = 500
OTHER = "other"
CACHE_MAX = 8192
"""Known paths; the oldest is forgotten first."""
SLUG_CHILDREN_MAX = 24
"""Different words in one place of the path before it counts as a slug; of words that read like one
(``blue-shirt``) half as many.
"""
SHAPED_MIN = 3
"""So many slugs known by their shape in one place, and what reads like one there is one."""
WATCHED_PLACES_MAX = 2000
SEGMENTS_MAX = 12
PATH_MAX = 2048
MARK = ord("?")
KEPT_HITS = 8
"""Visits of remembered paths after which a word stays a word though its place became a slug."""
NO_PROOF = frozenset({404, 405, 410, 414, 431, 499})
"""Answers that do not prove a route exists."""
WEAK_PROOF = frozenset({301, 302, 303, 307, 308, 400, 401, 403, *range(500, 600)})
"""Answers that many apps give to any path."""

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("{id}", re.compile(r"[0-9]{1,20}")),
    ("{uuid}", re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")),
    ("{date}", re.compile(r"(?:19|20)[0-9]{2}-[01][0-9](?:-[0-3][0-9])?(?:T[0-9:.Z+-]*)?")),
    ("{hash}", re.compile(r"(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{16,128}")),
    # ULIDs, KSUIDs, nano ids, base64 tokens: long, with digits and letters mixed
    ("{id}", re.compile(r"(?=[^0-9]*[0-9])(?=.*[A-Za-z])[0-9A-Za-z_-]{20,128}")),
    # prefixed ids: cus_9s6XKzkNRiz8i3, INV-2024-0007, user42
    ("{id}", re.compile(r"[A-Za-z]{1,12}[_-]?(?=(?:[^0-9]*[0-9]){2})[0-9A-Z][0-9A-Za-z_-]*")),
)
_NAMED_VERSION = re.compile(
    r"[vV][0-9]{1,3}|[a-z]{1,8}[0-9]|(?:oauth|sha|md|utf|base|mp|h|s)[0-9]{1,4}"
)
_SLUG_LIKE = re.compile(r"[^.]*[A-Za-z0-9][-_][A-Za-z0-9][^.]*|@.+|.*%[0-9A-Fa-f]{2}.*")
_FILE = re.compile(r"(.+)(\.[A-Za-z][A-Za-z0-9]{0,9})")
_SLUG_PLACE = re.compile(r"/\{slug\}(?=/|$)")
_HASHED_FILE = re.compile(
    r"(.*?)([.-])((?=[0-9A-Za-z_]*[0-9])[0-9A-Za-z_]{8,64})(\.[A-Za-z][A-Za-z0-9.]{0,12})"
)


def shape_of(segment: str) -> str:
    """The placeholder of one path segment, or the segment itself when it reads like part of the
    program.
    """
    if (segment.isalpha() and len(segment) < 40) or not segment:
        return segment
    if _NAMED_VERSION.fullmatch(segment):
        return segment
    for name, pattern in _SHAPES:
        if pattern.fullmatch(segment):
            return name
    if hashed := _HASHED_FILE.fullmatch(segment):
        return f"{hashed[1]}{hashed[2]}{{hash}}{hashed[4]}"
    if (file := _FILE.fullmatch(segment)) and (stem := shape_of(file[1])) != file[1]:
        return stem + file[2]
    if len(segment) > 40 or segment.count("-") >= 3 or segment.count("%") >= 3:
        return "{slug}"
    return segment


def reads_like_a_slug(word: str) -> bool:
    """Two words joined, a ``@name``, or what had to be escaped: ``blue-shirt``, and ``web-hooks``,
    too.
    """
    return _SLUG_LIKE.fullmatch(word) is not None


class Known:
    """A path seen before. ``share`` belongs to whoever counts per route, and is forgotten with
    the path's name.
    """

    __slots__ = ("hits", "share", "template")

    def __init__(self, template: str) -> None:
        self.template = template
        self.hits = 0
        self.share: Share | None = None


class RouteTable:
    """Learns templates. Memory is bounded by the named constants, whatever the traffic.

    ``on_fold`` hears at once of a method's template that is no more, and of the one it is now.
    """

    def __init__(
        self,
        *,
        templates_max: int = TEMPLATES_MAX,
        cache_max: int = CACHE_MAX,
        on_fold: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self.on_fold = on_fold
        self.templates_max = templates_max
        self.cache_max = cache_max
        self._templates: set[tuple[str, str]] = set()
        self.paths: dict[str, dict[bytes, Known]] = {}
        """Method → path without query → what is known of it."""
        self._order: deque[tuple[str, bytes]] = deque()
        """The same paths, the one to be forgotten first in front."""
        self._children: dict[str, dict[str, int]] = {}
        self._slugs: dict[str, frozenset[str]] = {}
        self._shaped: dict[str, int] = {}
        """How many paths had a slug, known by its shape, in a place."""

    @property
    def templates(self) -> frozenset[tuple[str, str]]:
        """(method, template) pairs that have earned their place."""
        return frozenset(self._templates)

    def known(self, method: str, target: bytes) -> Known | None:
        """The path of a request target if it was seen before."""
        paths = self.paths.get(method)
        return None if paths is None else paths.get(path_of(target))

    def template(self, method: str, target: bytes, status: int) -> str:
        """The template of a request target (query ignored), ``other`` when it has no place."""
        known = self.known(method, target)
        if known is not None:
            known.hits += 1
            return known.template
        return self._learn(method, path_of(target), status)

    def _learn(self, method: str, path: bytes, status: int) -> str:
        segments = _segments(path)
        if segments is None:
            return OTHER
        exists = status not in NO_PROOF
        template = self._shape(segments, exists and status not in WEAK_PROOF)
        key = (method, template)
        if key not in self._templates:
            room = self.templates_max // 2 if status in WEAK_PROOF else self.templates_max
            if not exists or len(self._templates) >= room:
                return OTHER
            self._templates.add(key)
        if exists:
            self._remember(method, path, template)
        return template

    def _remember(self, method: str, path: bytes, template: str) -> None:
        """A dict hit from now on. Paths visited again get a second chance before they are
        forgotten.
        """
        order = self._order
        for _ in range(4):
            if len(order) < self.cache_max:
                break
            oldest = self.paths[order[0][0]][order[0][1]]
            if oldest.hits:
                oldest.hits //= 2
                order.rotate(-1)
            else:
                self._forget()
        else:
            self._forget()
        order.append((method, path))
        self.paths.setdefault(method, {})[path] = Known(template)

    def _forget(self) -> None:
        method, path = self._order.popleft()
        paths = self.paths[method]
        del paths[path]
        if not paths:
            # methods are the client's to invent
            del self.paths[method]

    def _shape(self, segments: list[str], is_proven: bool) -> str:
        prefix = ""
        for segment in segments:
            word = shape_of(segment)
            if word == "{slug}" != segment and is_proven:
                if prefix in self._shaped or len(self._shaped) < WATCHED_PLACES_MAX:
                    self._shaped[prefix] = self._shaped.get(prefix, 0) + 1
            elif not word.startswith("{") and segment:
                word = self._word(prefix, word, is_proven)
            prefix = f"{prefix}/{word}"
        return prefix or "/"

    def _word(self, prefix: str, word: str, is_proven: bool) -> str:
        kept = self._slugs.get(prefix)
        if kept is not None:
            return word if word in kept else "{slug}"
        if (
            self._shaped.get(prefix, 0) >= SHAPED_MIN
            and reads_like_a_slug(word)
            and word not in self._children.get(prefix, ())
        ):
            return "{slug}"
        return self._watch(prefix, word) if is_proven else word

    def _watch(self, prefix: str, word: str) -> str:
        """Remember different words after ``prefix``; one too many and the place is a slug from now
        on.

        Top-level words stay words four times as long: that is where a program keeps its own pages.
        """
        children = self._children.get(prefix)
        if children is None:
            if len(self._children) >= WATCHED_PLACES_MAX:
                return word
            children = self._children[prefix] = {}
        children[word] = children.get(word, 0) + 1
        limit = SLUG_CHILDREN_MAX if prefix else 4 * SLUG_CHILDREN_MAX
        if 2 * len(children) <= limit:
            return word
        if len(children) + sum(map(reads_like_a_slug, children)) <= limit:
            return word
        self._fold(prefix, children)
        return word if word in self._slugs[prefix] else "{slug}"

    def _fold(self, prefix: str, children: dict[str, int], keep: Set[str] = frozenset()) -> None:
        """Words often visited stay, and those to ``keep``; the places the others had taken are
        given back. Their paths are named anew when they come again.
        """
        hits = dict(children)
        depth = prefix.count("/") + 1
        for known in self._all_known():
            if known.template.startswith(prefix + "/"):
                word = known.template.split("/", depth + 1)[depth]
                hits[word] = hits.get(word, 0) + known.hits
        kept = {word for word in children if hits[word] >= KEPT_HITS}
        self._slugs[prefix] = frozenset(kept | keep)
        self._children.pop(prefix, None)
        folded = {f"{prefix}/{word}" for word in children.keys() - kept - keep}

        def is_folded(template: str) -> bool:
            return "/".join(template.split("/", depth + 1)[: depth + 1]) in folded

        gone = {key for key in self._templates if is_folded(key[1])}
        self._templates -= gone
        self._drop(gone)
        for place in [p for p in self._children if is_folded(p)]:
            del self._children[place]
        for method, old in sorted(gone):
            self._move(method, old, _folded(old, depth))

    def _all_known(self) -> Iterator[Known]:
        for paths in self.paths.values():
            yield from paths.values()

    def _drop(self, gone: Set[tuple[str, str]]) -> None:
        """Forget the paths of these methods' templates."""
        kept = [
            (method, path)
            for method, path in self._order
            if (method, self.paths[method][path].template) not in gone
        ]
        found = [self.paths[method][path] for method, path in kept]
        self._order = deque(kept)
        self.paths.clear()
        for (method, path), known in zip(kept, found, strict=True):
            self.paths.setdefault(method, {})[path] = known

    def _move(self, method: str, old: str, new: str) -> None:
        """One after the other: what is moved may have brothers where it comes to, and fold
        again.
        """
        new = self._shape(new.split("/")[1:], is_proven=True)
        if len(self._templates) < self.templates_max:
            self._templates.add((method, new))
        if self.on_fold is not None:
            self.on_fold(method, old, new)

    def recall(self, templates: Iterable[str]) -> None:
        """What an earlier run or another process knows well: a place that is a slug there is one
        here, and the other words there stay words.
        """
        every = list(templates)
        for place in {t[: at.start()] for t in every for at in _SLUG_PLACE.finditer(t)}:
            if place not in self._slugs and len(self._slugs) < WATCHED_PLACES_MAX:
                start = len(place) + 1
                kept = {t[start:].partition("/")[0] for t in every if t.startswith(place + "/")}
                self._fold(place, self._children.get(place, {}), kept)


def path_of(target: bytes) -> bytes:
    """A request target without its query."""
    # the byte's number: asked for a bytes object, "in" makes and drops an exception first
    return target[: target.find(b"?")] if MARK in target else target


def _folded(template: str, depth: int) -> str:
    """``template`` with a slug for its ``depth``-th segment."""
    segments = template.split("/")
    segments[depth] = "{slug}"
    return "/".join(segments)


def _segments(path: bytes) -> list[str] | None:
    """The path's segments as text, None for what is no path of ours (``*``, absurdly long or
    deep).
    """
    if len(path) > PATH_MAX:
        return None
    text = path.decode("utf-8", "backslashreplace")
    if not text.startswith("/"):
        scheme, found, rest = text.partition("://")
        if not found or not scheme.isalpha():
            return None
        text = "/" + rest.partition("/")[2]
    segments = text.split("/")[1:]
    if len(segments) > SEGMENTS_MAX:
        return None
    return segments
