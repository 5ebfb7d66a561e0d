"""Secrets leave before anything is stored: headers, query, bodies, messages and stacks.

Two layers. Structure first: known names in headers, query, JSON, form and multipart lose their
values. Then shapes: whatever is left is searched as raw text for what secrets look like (tokens,
keys, connection strings, cards, e-mail addresses) and for ``name=value`` with a known name, so
broken JSON hides nothing. Where this module fails the text is dropped and counted; it never lets
text through unread.

Not covered: names of people, telephone numbers, network addresses, secrets without a known name or
shape. Every pattern is bounded; the work is linear in the input, and the input is cut at
``TEXT_CHARS_MAX``.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_plus

from proxy.domain.exchange import Headers


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STAND_IN = "REDACTED"
"""Safe in a header, a query, a form and a JSON string alike, so a redacted request can be sent
again.
"""
EMAIL_STAND_IN = "redacted@example.invalid"
"""Still an address (RFC 2606), so that a replayed form passes the same validation."""
DROPPED = "[dropped: could not be redacted]"
TEXT_CHARS_MAX = 65536
JSON_NODES_MAX = 20000
PARTS_MAX = 64

SECRET_HEADERS = _words(
    """authorization proxy-authorization cookie set-cookie x-api-key api-key apikey x-auth-token
    x-access-token x-csrf-token x-xsrf-token x-csrftoken x-amz-security-token x-goog-api-key
    x-session-token x-session-id x-vault-token x-gitlab-token x-hub-signature
    x-hub-signature-256 x-hasura-admin-secret x-supabase-auth x-shopify-access-token
    x-stripe-signature stripe-signature x-forwarded-authorization
    x-forwarded-access-token x-id-token cf-access-jwt-assertion x-amzn-oidc-data
    x-amzn-oidc-accesstoken sec-websocket-key www-authenticate-token x-secret x-token
    x-client-secret"""
)

_SECRET_PARTS = (
    "password|passwd|passphrase|passcode|secret|token|apikey|accesskey|privatekey|secretkey|masterkey|"
    "encryptionkey|signingkey|accountkey|sharedkey|credential|authorization|cookie|sessionid|sessionkey|"
    "sessid|jwt|bearer|cardnumber|creditcard|ccnumber|securitycode|signature|connectionstring"
)
_SECRET_PART = re.compile(_SECRET_PARTS)
_SECRET_WHOLE = _words(
    """pwd pass pw pin otp totp cvv cvc cvv2 cvc2 pan ssn iban auth session sid sig hmac nonce mfa
    mfacode otpcode verificationcode resetcode authcode accesscode recoverycode backupcode
    pincode seed mnemonic secretphrase socialsecuritynumber taxid cardno csrf xsrf dsn
    databaseurl webhookurl key"""
)
_INNOCENT = _words(
    """tokentype tokenclass maxtokens tokens totaltokens prompttokens completiontokens inputtokens
    outputtokens tokencount tokenlimit nexttoken pagetoken nextpagetoken continuationtoken
    tokenendpoint passwordfield haspassword passwordchangedat passwordconfirmationmatch
    sessiontimeout secretname unexpectedtoken invalidtoken tokenexpired invalidsignature
    tokenname cookiename cookieconsent"""
)
# Words after which a value in running text is a secret even when quotes and equals signs are
# missing.
_RAW_NAME = re.compile(
    r"(?i)(?:passw(?:or)?d|passphrase|passcode|\bpwd|\bpass|secret|token|api[_-]?key|access[_-]?key|"
    r"private[_-]?key|account[_-]?key|signing[_-]?key|encryption[_-]?key|credential|authorization|cookie|"
    r"session[_-]?id|sessid|\bsid|\bsession|\bjwt|card[_-]?number|credit[_-]?card|\bcvv2?|\bcvc2?|\bssn|"
    r"\biban|\botp|\bpin|signature|\bsig|\bauth(?![a-z])|\bcsrf|\bxsrf)"
    r"(?P<tail>[\w-]{0,24})(?P<close>\\?[\"'`]?\]?)\s{0,4}(?P<sep>=>|:=|[:=])\s{0,4}"
)
_RAW_VALUE = re.compile(
    r"(?P<scheme>(?i:bearer|basic|token|digest)\s{1,2})?"
    r"(?:\\\"(?P<e>[^\"\\]{0,4096})|\"(?P<d>(?:[^\"\\\n]|\\.){0,4096})|'(?P<s>[^'\n]{0,4096})|"
    r"(?P<b>[^\s\"'`,;&<>(){}\[\]]{1,4096}))"
)
_VALIDATION = re.compile(
    r"(?i)\b(?:required|blank|must|invalid|valid|at least|too (?:short|long|common|weak|similar)|"
    r"null|missing|match|expired|incorrect|not found|expected|should|cannot|can't|may not|empty|"
    r"string|"
    r"undefined|received|malformed|unauthori[sz]ed|denied|not allowed|revoked|absent|"
    r"unsupported|not provided|wrong|none|nil)\b"
)
_SENTENCE = re.compile(r"[A-Za-z][A-Za-z0-9 ,.'()_<>=-]{1,160}")

_Replacement = str | Callable[[re.Match[str]], str]


def _luhn(match: re.Match[str]) -> str:
    digits = [int(c) for c in match[0] if c.isdigit()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (2, 3, 4, 5, 6):
        return match[0]
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return STAND_IN if total % 10 == 0 else match[0]


def _scheme(match: re.Match[str]) -> str:
    """``Bearer abc123…`` is a secret, ``Basic authentication required`` is prose."""
    return f"{match[1]} {STAND_IN}" if _looks_secret(match[2]) else match[0]


def _looks_secret(value: str) -> bool:
    if len(value) < 4:
        return False
    has_digit = any(c.isdigit() for c in value)
    has_lower = any(c.islower() for c in value)
    has_upper = any(c.isupper() for c in value[1:])
    odd = any(c in "+/=_!@#$%^*~" for c in value)
    return (has_digit and (has_lower or has_upper or odd)) or (
        len(value) >= 12 and ((has_lower and has_upper) or odd)
    )


# (a literal that must be present, lowered; the pattern; what takes its place). The literal keeps
# clean text cheap.
_SHAPES: tuple[tuple[str, re.Pattern[str], _Replacement], ...] = (
    (
        "private key",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,40}-----|\Z)",
            re.DOTALL,
        ),
        f"-----BEGIN PRIVATE KEY-----{STAND_IN}",
    ),
    ("eyj", re.compile(r"\beyJ[\w-]{6,8192}(?:\.[\w-]{1,8192}){0,4}"), STAND_IN),
    (
        "://",
        re.compile(
            r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{1,24}://)([^\s:@/?#\"'<>]{0,256}):([^\s\"'<>/]{1,512})@"
        ),
        rf"\1\2:{STAND_IN}@",
    ),
    (
        "hooks.slack.com",
        re.compile(r"hooks\.slack\.com/(?:services|workflows)/[\w/-]{8,200}"),
        f"hooks.slack.com/{STAND_IN}",
    ),
    ("discord", re.compile(r"(discord(?:app)?\.com/api/webhooks/)[\w/-]{8,200}"), rf"\1{STAND_IN}"),
    ("bearer ", re.compile(r"(?i)\b(bearer) +([\w.~+/=:-]{4,8192})"), _scheme),
    ("basic ", re.compile(r"(?i)\b(basic) +([\w.~+/=:-]{8,4096})"), _scheme),
    ("akia", re.compile(r"\bAKIA[A-Z0-9]{12,124}\b"), STAND_IN),
    ("asia", re.compile(r"\bASIA[A-Z0-9]{12,124}\b"), STAND_IN),
    ("gh", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{16,255}"), STAND_IN),
    ("github_pat_", re.compile(r"\bgithub_pat_\w{16,255}"), STAND_IN),
    ("glpat-", re.compile(r"\bglpat-[\w-]{16,255}"), STAND_IN),
    ("xox", re.compile(r"\bxox[a-z]-[\w-]{8,255}"), STAND_IN),
    ("xapp-", re.compile(r"\bxapp-[\w-]{8,255}"), STAND_IN),
    ("k_", re.compile(r"\b[spr]k_(?:live|test)_[A-Za-z0-9]{8,255}"), STAND_IN),
    ("whsec_", re.compile(r"\bwhsec_[A-Za-z0-9+/=]{8,255}"), STAND_IN),
    ("sk-", re.compile(r"\bsk-[A-Za-z0-9_-]{16,255}"), STAND_IN),
    ("aiza", re.compile(r"\bAIza[\w-]{30,60}"), STAND_IN),
    ("ya29.", re.compile(r"\bya29\.[\w-]{16,512}"), STAND_IN),
    ("sg.", re.compile(r"\bSG\.[\w-]{16,64}\.[\w-]{16,128}"), STAND_IN),
    ("npm_", re.compile(r"\bnpm_[A-Za-z0-9]{30,60}"), STAND_IN),
    ("pypi-", re.compile(r"\bpypi-[\w-]{16,512}"), STAND_IN),
    ("hf_", re.compile(r"\bhf_[A-Za-z0-9]{20,60}"), STAND_IN),
    ("dop_v1_", re.compile(r"\bdop_v1_[a-f0-9]{32,128}"), STAND_IN),
    ("sbp_", re.compile(r"\bsbp_[a-f0-9]{20,80}"), STAND_IN),
    ("sb_secret_", re.compile(r"\bsb_secret_[\w-]{8,128}"), STAND_IN),
    ("shp", re.compile(r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{16,80}"), STAND_IN),
    ("sq0", re.compile(r"\bsq0[a-z]{3}-[\w-]{20,80}"), STAND_IN),
    ("eaaa", re.compile(r"\bEAAA[\w-]{40,120}"), STAND_IN),
    ("key-", re.compile(r"\bkey-[a-f0-9]{32}\b"), STAND_IN),
    ("sk", re.compile(r"\bSK[a-f0-9]{32}\b"), STAND_IN),
    ("vault", re.compile(r"\bhv[sbr]\.[\w-]{20,255}"), STAND_IN),
    ("hvs.", re.compile(r"\bhv[sbr]\.[\w-]{20,255}"), STAND_IN),
    ("age-secret-key", re.compile(r"\bAGE-SECRET-KEY-1[A-Z0-9]{40,80}"), STAND_IN),
    (":aa", re.compile(r"\b\d{8,10}:AA[\w-]{30,40}"), STAND_IN),
    (
        "@",
        re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}"),
        EMAIL_STAND_IN,
    ),
)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")


class Redactor:
    """Removes secrets; keeps what names the error. ``dropped`` counts the texts thrown away."""

    def __init__(self, extra_names: Iterable[str] = ()) -> None:
        self._extra = frozenset(_fold(name) for name in extra_names if name.strip())
        self._raw_extra = (
            re.compile(
                r"(?i)(?<!\w)(?:"
                + "|".join(re.escape(n.strip()) for n in sorted(extra_names) if n.strip())
                + r")(?P<tail>)(?P<close>\\?[\"'`]?\]?)\s{0,4}(?P<sep>=>|:=|[:=])\s{0,4}"
            )
            if self._extra
            else None
        )
        self.dropped = 0

    def is_secret_name(self, name: str) -> bool:
        """Whether a header, query, form or JSON field of that name loses its value."""
        folded = _fold(name)
        if folded in self._extra:
            return True
        if folded in _INNOCENT:
            return False
        return folded in _SECRET_WHOLE or _SECRET_PART.search(folded) is not None

    def text(self, text: str) -> str:
        """Free text (message, stack, error page): names with values, then shapes. Never raises."""
        try:
            clipped = text if len(text) <= TEXT_CHARS_MAX else text[:TEXT_CHARS_MAX]
            return self._shapes(self._named(clipped))
        except Exception:
            self.dropped += 1
            return DROPPED

    def headers(self, headers: Headers) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
        """Header fields as text, and the names whose values went away."""
        kept: list[tuple[str, str]] = []
        removed: list[str] = []
        for raw_name, raw_value in headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            lowered = name.lower()
            if lowered in SECRET_HEADERS or (
                lowered not in _PLAIN_HEADERS and self.is_secret_name(name)
            ):
                clean = STAND_IN
            elif lowered in ("referer", "location", "origin"):
                clean = self.target(value)[0]
            else:
                clean = self.text(value)
            if clean != value:
                removed.append(lowered)
            kept.append((name, clean))
        return tuple(kept), tuple(dict.fromkeys(removed))

    def target(self, target: str) -> tuple[str, tuple[str, ...]]:
        """A request target or URL: path by shape, query by name and shape. The rest stays byte
        for byte.
        """
        try:
            path, question, query = target[:TEXT_CHARS_MAX].partition("?")
            clean, removed = self._pairs(query)
            path = self._shapes(path)
            return path + question + clean, removed
        except Exception:
            self.dropped += 1
            return "/", ("target",)

    def body(self, data: bytes, content_type: str = "") -> tuple[bytes, tuple[str, ...]]:
        """A request or answer body by its declared type; whatever does not parse goes through the
        text pass.

        Unchanged bytes come back identical, so a request without secrets is replayed exactly.
        """
        if not data:
            return b"", ()
        kind = content_type.partition(";")[0].strip().lower()
        try:
            if kind == "multipart/form-data":
                return self._multipart(data, content_type)
            text = data.decode("utf-8", "surrogateescape")
            if kind == "application/x-www-form-urlencoded":
                clean, removed = self._pairs(text)
            elif kind.endswith(("/json", "+json")) or text.lstrip()[:1] in ("{", "["):
                clean, removed = self._json(text)
            else:
                clean, removed = self._shapes(self._named(text)), ()
            if clean != text and not removed:
                removed = ("body",)
            return clean.encode("utf-8", "surrogateescape"), removed
        except Exception:
            self.dropped += 1
            return b"", ("body",)

    def _json(self, text: str) -> tuple[str, tuple[str, ...]]:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self._shapes(self._named(text)), ()
        removed: list[str] = []
        clean = self._walk(value, removed)
        return (
            (
                json.dumps(clean, ensure_ascii=False, separators=(",", ":")),
                tuple(dict.fromkeys(removed)),
            )
            if (removed)
            else (text, ())
        )

    def _walk(self, root: Any, removed: list[str]) -> Any:
        """Replace secret values in place, breadth bounded by ``JSON_NODES_MAX``; deeper or wider
        raises.
        """
        holder: list[Any] = [root]
        todo: list[tuple[Any, Any, bool, str]] = [(holder, 0, False, "body")]
        nodes = 0
        while todo:
            box, key, secret, name = todo.pop()
            nodes += 1
            if nodes > JSON_NODES_MAX:
                raise ValueError("too many JSON nodes")
            value = box[key]
            if isinstance(value, dict):
                for child in value:
                    todo.append((value, child, secret or self.is_secret_name(child), child))
            elif isinstance(value, list):
                todo.extend((value, index, secret, name) for index in range(len(value)))
            elif secret and not isinstance(value, bool) and value is not None:
                if not (isinstance(value, str) and _is_validation(value)):
                    box[key] = STAND_IN
                    removed.append(name)
            elif isinstance(value, str):
                clean = self._shapes(self._named(value))
                if clean != value:
                    box[key] = clean
                    removed.append(name)
            elif _may_be_card(value) and self._shapes(str(value)) != str(value):
                box[key] = STAND_IN
                removed.append(name)
        return holder[0]

    def _pairs(self, query: str) -> tuple[str, tuple[str, ...]]:
        if not query:
            return query, ()
        removed: list[str] = []
        parts = []
        for pair in query.split("&"):
            raw_name, equals, raw_value = pair.partition("=")
            name = unquote_plus(raw_name)
            value = unquote_plus(raw_value) if equals else name
            leaf = name.rstrip("[]").rpartition("[")[2] or name
            if equals and raw_value and (self.is_secret_name(leaf) or self.is_secret_name(name)):
                parts.append(f"{raw_name}={STAND_IN}")
                removed.append(leaf)
                continue
            clean = self._shapes(self._named(value))
            if clean != value:
                removed.append(leaf if equals else "query")
                pair = (
                    f"{raw_name}={clean.replace('&', '%26').replace(' ', '+')}"
                    if equals
                    else STAND_IN
                )
            parts.append(pair)
        return "&".join(parts), tuple(dict.fromkeys(removed))

    def _multipart(self, data: bytes, content_type: str) -> tuple[bytes, tuple[str, ...]]:
        found = re.search(r'boundary="?([^";\s]{1,70})', content_type)
        if found is None:
            return self.text(data.decode("utf-8", "replace")).encode(), ("body",)
        fence = b"--" + found[1].encode("latin-1")
        parts = data.split(fence)
        if len(parts) > PARTS_MAX:
            raise ValueError("too many parts")
        removed: list[str] = []
        for index, part in enumerate(parts[1:], 1):
            head, blank, content = part.partition(b"\r\n\r\n")
            if not blank:
                continue
            disposition = head.decode("latin-1")
            named = re.search(r'\bname="?([^";\r\n]{0,256})', disposition)
            name = named[1] if named else ""
            ending = b"\r\n" if content.endswith(b"\r\n") else b""
            inner = content[: len(content) - len(ending)]
            if "filename" in disposition or self.is_secret_name(name):
                # An uploaded file may hold anything; its content is never worth the risk.
                clean = STAND_IN.encode()
            else:
                value = inner.decode("utf-8", "surrogateescape")
                clean = self._shapes(self._named(value)).encode("utf-8", "surrogateescape")
            if clean != inner:
                removed.append(name or "part")
                parts[index] = head + blank + clean + ending
        return fence.join(parts), tuple(dict.fromkeys(removed))

    def _shapes(self, text: str) -> str:
        lowered = text.lower()
        for literal, pattern, replacement in _SHAPES:
            if literal in lowered:
                text = pattern.sub(replacement, text)
        return _CARD.sub(_luhn, text)

    def _named(self, text: str) -> str:
        text = _replace_values(text, _RAW_NAME, sure=False)
        return _replace_values(text, self._raw_extra, sure=True) if self._raw_extra else text


_PLAIN_HEADERS = _words(
    """content-type content-length accept accept-encoding accept-language user-agent host
    connection     www-authenticate sec-websocket-version sec-websocket-protocol sec-fetch-site
    sec-fetch-mode     sec-fetch-dest     traceparent baggage sentry-trace idempotency-key etag
    last-modified cache-control access-     control-allow-headers
    access-control-request-headers access-control-expose-headers"""
)


def _may_be_card(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 10**12


def _fold(name: str) -> str:
    """``X-Api_Key`` and ``xApiKey`` are one name: letters and digits, lower case."""
    return "".join(c for c in name.lower() if c.isalnum())


def _is_validation(value: str) -> bool:
    """``This field is required.`` under a field called password is evidence, not a password."""
    return (
        " " in value
        and _SENTENCE.fullmatch(value) is not None
        and _VALIDATION.search(value) is not None
    )


def _replace_values(text: str, names: re.Pattern[str], *, sure: bool) -> str:
    """Values behind known names become stand-ins; ``sure``: the founder named it, so prose is no
    excuse.
    """
    out: list[str] = []
    done = 0
    for match in names.finditer(text):
        if match.start() < done:
            continue
        start = match.start()
        while (
            start > done
            and (text[start - 1].isalnum() or text[start - 1] in "_-")
            and match.start() - start < 40
        ):
            start -= 1
        name = text[start : match.end("tail")]
        value = _RAW_VALUE.match(text, match.end())
        if value is None or (not sure and _fold(name) in _INNOCENT):
            continue
        group = next(g for g in ("e", "d", "s", "b") if value[g] is not None)
        inner = value[group]
        if inner in ("", STAND_IN, EMAIL_STAND_IN):
            continue
        if not sure and _is_prose(match, value, group, inner, text):
            continue
        out.append(text[done : value.start(group)])
        out.append(STAND_IN)
        done = value.end(group)
    if not out:
        return text
    out.append(text[done:])
    return "".join(out)


def _is_prose(name: re.Match[str], value: re.Match[str], group: str, inner: str, text: str) -> bool:
    """``Invalid token: expired`` names an error; ``token: 8f3a…`` and ``token=expired`` carry a
    value.
    """
    if _is_validation(inner):
        return True
    if group != "b":
        quoted_name = bool(name["close"])
        # `Unexpected token: '<'` quotes a sign, not a secret
        return len(inner) < 3 and not quoted_name
    if name["sep"] == "=":
        return inner in ("null", "None", "undefined", "true", "false", "nil")
    if inner in ("null", "None", "undefined", "true", "false", "nil"):
        return True
    if name["close"]:
        return False
    sure = re.search(
        r"(?i)passw|passphrase|passcode|pwd|secret|api[_-]?key|cookie|authorization", name[0]
    )
    following = text[value.end() : value.end() + 2]
    if sure and not re.match(r" [a-z]", following):
        return not (len(inner) >= 4)
    return not _looks_secret(inner)
