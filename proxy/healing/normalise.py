"""Error texts without what changes from one occurrence to the next.

``error_text`` finds the sentence that names the error in a headline, a JSON answer or an object
dump and drops wrappers; ``parameterise`` replaces volatile values. Numbers and names that *are* the
error stay.
"""

import json
import re
from typing import Any


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TEXT_CHARS_MAX = 320
LINES_MAX = 3

_WRAPPER = re.compile(
    r"(?i)^(?:"
    r"\d{4}[-/]\d\d[-/]\d\d[t ]?[\d:.,]*z?(?: ?[+-]\d\d:?\d\d)?|"
    r"\[\d{4}-\d\d-\d\d[^\]\n]{0,40}\]|\d\d:\d\d:\d\d(?:[.,]\d+)?|"
    r"\(node:\d+\)|\[(?:error|warn(?:ing)?|info|debug|critical|fatal|emerg|alert|crit|"
    r"notice|server|client|bug|nuxt|vite|next)\]:?|"
    r"\[\d+\]|\d+#\d+:|\*\d+ |"
    r"(?:uncaught|unhandled)(?: \(in promise\))?(?: (?:exception|error|rejection|"
    r"runtime error))?:? |"
    r"(?:unhandledpromiserejectionwarning|unhandled promise rejection|exception|error|"
    r"fatal|fatal error|panic|caused by|warning|warn|critical|severe|err|"
    r"errors?|pq|pgx|pgerror)[:!] |"
    r"error (?=[0-9a-z]{5}: )|(?:[0-9]{2}[0-9a-z]{3}|sqlstate\[?[0-9a-z]{5}\]?)[: ]{1,3}|"
    r"[\w-]{1,60}\.(?:m?[jt]sx?|vue):\d+(?::\d+)? |"
    r"exception in thread [^:\n]{0,80}: |"
    r"(?:[a-z_][\w$]*[.:\\]{1,2}){1,8}[A-Za-z_]\w*(?:error|exception|fault|failure)\w*: |"
    r"'|\"|`"
    r")\s*"
)
_QUALIFIED = re.compile(
    r"(?<![\w.\\])(?<!::)(?:[A-Za-z_][\w$]{0,60}(?:\.|::|\\)){1,12}(?=[A-Z_]\w{0,80}(?:Error|"
    r"Exception|Warning|Timeout|Redirects|Failure|Fault|Violation)\w{0,20})"
)
_CLASS_ENDINGS = (
    "Error", "Exception", "Warning", "Timeout", "Redirects", "Failure", "Fault", "Violation",
)  # fmt: skip
_MESSAGE_KEYS = (
    "message",
    "error_description",
    "error_message",
    "errormessage",
    "msg",
    "detail",
    "description",
    "title",
    "error",
    "errors",
    "reason",
    "exception",
)
_DUMPED = re.compile(
    r"(?i)(?<![\w])[\"']?(?:message|error_description|detail)[\"']?\s?[:=]\s?(?:\"((?:"
    r"[^\"\\\n]|\\.){3,400})\"|'((?:[^'\\\n]|\\.){3,400})'|`([^`\n]{3,400})`)"
)

_DATE = re.compile(
    r"\b\d{4}[-/]\d\d[-/]\d\d(?:[t ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?)?"
    r"(?:z\b| ?[+-]\d\d:?\d\d\b)?"
)
# (what must all be in the text for the step to matter, "0" for any digit; the pattern; its
# stand-in). The text is lowered before: patterns that ignore case cannot skip ahead to a letter.
_STEPS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    ((", client: ",), re.compile(r", client: [^\n]{0,400}"), ""),  # nginx appends the request
    (
        (),
        re.compile(
            r"(?:(?<=[.:!?]) |\n)(?:read more|see (?:https?|our|also|the )|"
            r"for more (?:info|details)|learn more|"
            r"a list of common|more info|\(background on this error|note that|"
            r"visit https?|please (?:check|see|make sure)|"
            r"this could happen|you might have)[\s\S]{0,600}"
        ),
        "",
    ),
    # what a driver says beside the server's own words
    (("(sqlstate ",), re.compile(r" ?\(sqlstate [0-9a-z]{5}\)(?=$|[\n.])"), ""),
    (("ora-06512",), re.compile(r"\s?ora-06512: [^\n]{0,200}"), ""),
    (("nil:nilclass",), re.compile(r"\bnil:nilclass\b"), "nil"),
    (
        ("duplicate entry ", "for key"),
        re.compile(r"duplicate entry .{0,200}?for key"),
        "duplicate entry <v> for key",
    ),
    (
        ("key (", ")=("),
        re.compile(r"\bkey \(([^)\n]{1,200})\)=\([^\n]{0,300}?\)(?= |$|\.|\n|\))"),
        r"key (\1)",
    ),
    (
        ("duplicate key value is (",),
        re.compile(r"(duplicate key value is )\([^\n)]{0,200}\)"),
        r"\1<v>",
    ),
    (("dup key: {",), re.compile(r"(dup key: )\{[^\n}]{0,300}\}?"), r"\1<v>"),
    (
        ("invalid input syntax for ",),
        re.compile(r"(invalid input syntax for (?:type )?[\w ]{1,40}: ?)\"?[^\"\n]{0,200}\"?"),
        r"\1<v>",
    ),
    (
        ("incorrect ", " value: '"),
        re.compile(r"(incorrect [\w ]{1,20} value: )'[^'\n]{0,200}'"),
        r"\1<v>",
    ),
    (("http", "://"), re.compile(r"https?://[^\s/\"'<>)]{1,200}"), "<host>"),
    (
        ("@", "."),
        re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"),
        "<mail>",
    ),
    (
        ("0", "-"),
        re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"),
        "<id>",
    ),
    (("0", "-"), _DATE, "<time>"),
    (("0", "/"), _DATE, "<time>"),
    (("0", ":"), re.compile(r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?\b"), "<time>"),
    (
        ("0", " "),
        re.compile(r"\b(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},? [^\n]{0,30}?\d{4}\b"),
        "<time>",
    ),
    (("0x",), re.compile(r"\b0x[0-9a-f]{1,16}\b"), "<hex>"),
    (
        ("0", "."),
        re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w.])"),
        "<ip>",
    ),
    (
        ("0", ".", ":"),
        re.compile(
            r"(\.(?:m?[jt]sx?|vue|svelte|py|rb|php|go|java|cs|exs?|rs|erb|haml|"
            r"html?)):\d{1,9}(?::\d{1,9})?"
        ),
        r"\1",
    ),
    (
        ("0", "line"),
        re.compile(r"\bline:? \d{1,9}(?:,? col(?:umn)?:? \d{1,9})?"),
        "<at>",
    ),
    (("0", "col"), re.compile(r"\bcol(?:umn)?:? \d{1,9}"), "<at>"),
    (("0", "position"), re.compile(r"\bposition:? \d{1,9}"), "<at>"),
    (("0", "graphql request:"), re.compile(r"(?<=graphql request):\d{1,9}:\d{1,9}"), "<at>"),
    (("0", ":"), re.compile(r"(?<=[a-z0-9_\]]):\d{2,5}(?![\w.])"), ":<port>"),
    (
        ("0",),
        re.compile(
            r"\b\d{1,15}(?:[.,]\d{1,9})? ?(?:[mun]?s|msecs?|milliseconds?|secs?|"
            r"seconds?|m|mins?|minutes?|"
            r"h|hours?|days?|bytes?|[kmgt]i?b)\b"
        ),
        "<n>",
    ),
    (
        ("0",),
        re.compile(r"(?<![a-z0-9_])(?=[a-f]{0,30}\d)(?=\d{0,30}[a-f])[a-f0-9]{8,64}(?![a-z0-9_])"),
        "<hash>",
    ),
    (
        ("0", "_"),
        re.compile(r"(?<=_)(?=[a-f]{0,30}\d)(?=\d{0,30}[a-f])[a-f0-9]{6,64}(?![a-z0-9_])"),
        "<hash>",
    ),
    (
        ("0",),
        re.compile(
            r"(?<![a-z0-9_.-])(?=[a-z0-9]{12})(?:[a-z]{1,8}\d{1,8}){3,12}[a-z]{0,8}(?![a-z0-9_.-])"
        ),
        "<token>",
    ),
    (
        ("0", "."),
        re.compile(
            r"(?<=[.-])(?=[a-z_]{0,12}\d)(?=[0-9_]{0,12}[a-z])[a-z0-9_]{8,12}"
            r"(?=\.(?:js|css|mjs|chunk)\b)"
        ),
        "<hash>",
    ),
    (
        ("0",),
        re.compile(r"\b(?=\d{0,60}[a-z_])(?=[a-z_0-9]{0,60}?\d{5})\w{1,120}\b"),
        "<token>",
    ),
    (("0", "/"), re.compile(r"/\d{1,20}(?=/|\?|$|[\s\"')])"), "/<id>"),
)
_IN_ORDER = tuple(
    ("0" in needs, tuple(need for need in needs if need != "0"), pattern, replacement)
    for needs, pattern, replacement in _STEPS
)
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"(?<![\w.<#])-?\d{1,20}(?:\.\d{1,9})?(?![\w>])")
_LEADS = (
    "errno", "error", "code", "status", "statuscode", "http", "msg", "sqlstate", "ora", "pls",
    "curl", "signal", "h", "errors", "invariant",
)  # fmt: skip
_LEAD_SIGNS = " :=\"'-/"
_LEAD = re.compile(
    r"(?:\b(?:errno|error|code|status|statuscode|http|msg|sqlstate|ora|pls|curl|signal|h)"
    r"(?:[ :=\"']{1,3}|[-/])|errors/|invariant=)$"
)
"""What makes the number behind it part of the error's name."""
_LEADS_ANY = re.compile(
    r"\(|errors/|invariant=|"
    r"\b(?:errno|error|code|status|statuscode|http|msg|sqlstate|ora|pls|curl|signal|h)[ :=\"'/-]"
)
_LEAD_CHARS = 16
_QUOTES = re.compile(r"[\"'`\\]{1,4}")
_SPACES = re.compile(r"\s{1,200}")

_STATUS_WORDS = _words("""error errors exception failed failure fail request response requests api
http https server internal bad gateway
    time out timeout timed unprocessable entity content unauthorized unauthorised forbidden not
    found method allowed
    acceptable conflict gone too many service temporarily unavailable with status code n from the
    a an of upstream
    uncaught unhandled message undefined null none unknown something went wrong occurred has have
    been is was please try
    again later required payment axioserror fetcherror httperror apierror on for in to this your
    get post put patch
    delete head options ok nginx cloudflare apache 1 httpexception oops sorry we re working it
    host at
    400 401 402 403 404 405 406 408 409 410 411 412 413 415 416 418 422 423 424 425 426 428 429
    431 451
    500 501 502 503 504 505 507 508 511 520 521 522 523 524 525 526 527 530 419 499""")
_EMPTY_WORDS = _STATUS_WORDS | {
    f"{left}{name}{right}"
    for name in ("n", "id", "ip", "host", "time")
    for left in ("<", "")
    for right in (">", "")
}
_WORD = re.compile(r"[a-z0-9_<>]{1,60}")


def error_text(text: str) -> str:
    """The sentence that names the error, with its cause, without wrappers; at most 320
    characters.
    """
    head = text[:2000].strip()
    if head[:1] in "{[" and head[-1:] in "}]":
        inner = _from_json(head)
        if inner:
            head = inner
    if "{" in head and _dumps(head) and (match := _DUMPED.search(head)):
        head = next(group for group in match.groups() if group)
    lines = [stripped for line in head.split("\n") if (stripped := line.strip())]
    kept = [_unwrap(line) for line in lines[:LINES_MAX]]
    return "\n".join(line for line in kept if line)[:TEXT_CHARS_MAX]


def _dumps(head: str) -> bool:
    low = head.lower()
    return any(name in low for name in ("message", "error_description", "detail"))


def _unwrap(line: str) -> str:
    line = line[:400]
    if any(ending in line for ending in _CLASS_ENDINGS):
        line = _QUALIFIED.sub("", line)
    for _ in range(6):
        match = _WRAPPER.match(line)
        if match is None or match.end() == 0 or match.end() >= len(line):
            return line
        line = line[match.end() :]
    return line


def _from_json(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return "; ".join(_strings(value, 0)[:4])


def _strings(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if depth > 4:
        return []
    if isinstance(value, list):
        return [text for item in value[:4] for text in _strings(item, depth + 1)]
    if isinstance(value, dict):
        for key in _MESSAGE_KEYS:
            found = next(
                (v for k, v in value.items() if isinstance(k, str) and k.lower() == key and v), None
            )
            if (
                found is not None
                and (inner := _strings(found, depth + 1))
                and not all(is_contentless(t.lower()) for t in inner)
            ):
                return inner
        if all(not isinstance(v, str) for v in value.values()):
            # field → [messages]: the field names the bug
            return [
                f"{k}: {text}"
                for k, v in list(value.items())[:4]
                for text in _strings(v, depth + 1)
            ]
        return [f"{k}: {v}" for k, v in value.items() if isinstance(v, str)][:4]
    return []


def parameterise(text: str) -> str:
    """Lower case, one line, quotes dropped, volatile values replaced by stand-ins."""
    text = text[:TEXT_CHARS_MAX].lower()
    has_digit = _DIGIT.search(text) is not None
    holds = text.__contains__
    for digit, needs, pattern, replacement in _IN_ORDER:
        if (has_digit or not digit) and all(map(holds, needs)):
            text = pattern.sub(replacement, text)
    if has_digit:
        text = _NUMBER.sub(_keep_naming_number if _LEADS_ANY.search(text) else "<n>", text)
    return _SPACES.sub(" ", _QUOTES.sub("", text)).strip(" .:!-")


def _keep_naming_number(match: re.Match[str]) -> str:
    start = match.start()
    before = match.string[max(0, start - _LEAD_CHARS) : start]
    if before[-1:] == "(":
        return match[0] if len(match[0]) == 4 else "<n>"
    named = before.rstrip(_LEAD_SIGNS).endswith(_LEADS) and _LEAD.search(before) is not None
    return match[0] if named else "<n>"


def is_contentless(text: str) -> bool:
    """Whether nothing is left beside status phrases: such a text names no bug."""
    return _EMPTY_WORDS.issuperset(_WORD.findall(text))


_ROUTE_ID = re.compile(
    r"(?i)/(?:\d{1,20}|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,64}|"
    r"[\w-]{0,40}\d{6,20}[\w-]{0,40})(?=/|$)"
)


def fold_route(route: str) -> str:
    """``/orders/4711/items`` → ``/orders/{id}/items``; templates stay as they are."""
    path = route.partition("?")[0][:500]
    return _ROUTE_ID.sub("/{id}", _ROUTE_ID.sub("/{id}", path))
