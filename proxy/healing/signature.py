"""The versioned fingerprint of a failure: same bug, same signature; its readable key stands
beside the hash.

Key = category, then what names the bug: the parameterised error text (codes, quoted names and
numbers that name
the error stay; ids, addresses, times and key values go), the first in-app frame (file and
function, no line), and
the id-folded route only when text and frame say nothing. A change here is a new version, never a
rename of old jobs.
"""

import hashlib
import re

from proxy.domain.failure import Category, Evidence, Failure, Signature
from proxy.healing.facts import Facts
from proxy.healing.facts.frames import first_in_app
from proxy.healing.facts.text import FIELD_CHARS_MAX, line_at
from proxy.healing.normalise import error_text, fold_route, is_contentless, parameterise

VERSION = "v1"
HASH_HEX = 24
TEXT_CHARS_MAX = 320

# An answer that shows its traceback tells where it is installed, and that is no part of the bug.
_JSON_STACK = re.compile(
    r'(?i),?\s{0,4}"(?:stack_?trace|trace_?back|stack|trace|exception_trace)"\s{0,4}:\s{0,4}'
    r'(?:"(?:[^"\\]|\\.)*"?|\[[^\]]*\]?)'
)
_ABSOLUTE = re.compile(r"(?i)(?:[a-z]:)?/")


def signature_of(
    failure: Failure, category: Category, facts: Facts, evidence: Evidence | None = None
) -> tuple[Signature, str]:
    """``(v1:…, readable key)``; ``evidence`` says where the decisive words stood, when there are
    any.
    """
    parts = [str(category)]
    text = _text(facts, evidence)
    if text:
        parts.append(text)
    frame = first_in_app(facts.frames)
    if frame is not None:
        file = _installed_file(frame.file)
        parts.append(f"in {file}:{frame.function}" if frame.function else f"in {file}")
    elif not text or is_contentless(text):
        parts.append(f"on {failure.method or ''} {fold_route(failure.route or '')}".strip())
    key = " | ".join(parts)
    return Signature(f"{VERSION}:{hashlib.sha256(key.encode()).hexdigest()[:HASH_HEX]}"), key


def _installed_file(file: str) -> str:
    """Where an app is installed is no part of its bug: on the next host, and at /src in the jail,
    it must have the same signature. Of an absolute path only the file's own name says that.
    """
    return file.rpartition("/")[2] or file if _ABSOLUTE.match(file) else file


def _text(facts: Facts, evidence: Evidence | None) -> str:
    message = facts.view("message")
    headline = parameterise(error_text(message.text)) if message else ""
    if evidence is not None and evidence.field in ("body", "stack"):
        line = _evidence_line(facts, evidence)
        if line and line not in headline:
            return line if is_contentless(headline) else f"{headline} <- {line}"[:TEXT_CHARS_MAX]
    if is_contentless(headline):
        body = facts.view("body")
        inner = parameterise(error_text(body.text)) if body else ""
        if inner and not is_contentless(inner):
            return inner[:TEXT_CHARS_MAX]
    return headline[:TEXT_CHARS_MAX]


def _evidence_line(facts: Facts, evidence: Evidence) -> str:
    view = facts.view(evidence.field)
    if view is None:
        return ""
    head = evidence.excerpt[:40].lower()
    at = view.low.find(head)
    if at < 0 or not head:
        return parameterise(error_text(view.text[:FIELD_CHARS_MAX]))
    line = line_at(view.text, at, at + len(head))
    if line.lstrip()[:1] in ("{", "["):
        line = _JSON_STACK.sub("", line)
    return parameterise(error_text(line))
