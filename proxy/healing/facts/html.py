"""An HTML error page as its readable lines. Not a parser: tags become line ends, scripts and
styles go.
"""

import re

_TAG = re.compile(r"<(?:/?[A-Za-z!][^<>]{0,400}|/?>)>?")
_BLANK = re.compile(r"[ \t\r\f\v]{1,400}")
_LINES = re.compile(r"\n[ \n]{1,400}")
_START = re.compile(
    r"(?i)^\s{0,200}<(?:!doctype|html|head|body|!--|\?xml|center|title|h1|pre|div|p>)"
)


def looks_like_html(text: str) -> bool:
    return _START.match(text) is not None


def html_text(text: str) -> str:
    """Visible text, entities left as they are (``text.fold`` undoes them)."""
    if "<script" in text or "<style" in text or "<svg" in text or "<SCRIPT" in text:
        text = _drop_blocks(text)
    text = _TAG.sub("\n", text)
    return _LINES.sub("\n", _BLANK.sub(" ", text)).strip()


def _drop_blocks(text: str) -> str:
    out: list[str] = []
    at = 0
    low = text.lower()
    while True:
        starts = [(low.find(f"<{name}", at), name) for name in ("script", "style", "svg")]
        starts = [(where, name) for where, name in starts if where >= 0]
        if not starts:
            out.append(text[at:])
            return "".join(out)
        where, name = min(starts)
        out.append(text[at:where])
        end = low.find(f"</{name}", where)
        if end < 0:
            return "".join(out)
        at = end
