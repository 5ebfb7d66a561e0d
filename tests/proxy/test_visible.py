"""Nothing a terminal would obey, reorder or hide passes unseen."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from proxy.visible import one_line, visible, visible_bytes


def test_controls_become_stand_ins_and_text_stays() -> None:
    assert visible("plain äöü 漢字 \t tab\nline") == "plain äöü 漢字 \t tab\nline"
    assert visible("\x1b]52;c;aGk=\x07") == "<U+001B>]52;c;aGk=<U+0007>"
    assert visible("a\u202eb\u2066c\u200bd\ufeff") == "a<U+202E>b<U+2066>c<U+200B>d<U+FEFF>"
    assert visible("\x00\x7f\x85\x9b\r") == "<U+0000><U+007F><U+0085><U+009B><U+000D>"
    assert visible("\ud800") == "<U+D800>"


def test_bytes_that_are_not_utf8_are_named() -> None:
    assert visible_bytes(b"ok \xff\xfe") == "ok <0xFF><0xFE>"


def test_a_record_stays_one_line() -> None:
    assert one_line("a\r\nb\tc") == "a<U+000D><U+000A>b<U+0009>c"


@given(st.text())
def test_no_control_or_format_character_is_left(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n" for c in shown)
    assert not any(
        unicodedata.bidirectional(c)
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        for c in shown
    )
    assert visible(shown) == shown
    assert len(one_line(text).splitlines()) <= 1
