"""What the page's script would report, and that the ingest reads it as it reads a browser's."""

from datetime import UTC, datetime

from proxy.clock import ManualClock
from proxy.demo.page_script import envelope, hydrate, render_basket
from proxy.demo.repository import TEMPLATE
from proxy.ingest.event import Context
from proxy.ingest.reading import read_envelope

NOON = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
PAGE = (
    '<p id="dispatch" class="hint">It is past 12 o&#x27;clock: order now and we dispatch today.</p>'
)
SCRIPT = (TEMPLATE / "shop/static/shop.js").read_text("utf-8")


def test_where_both_agree_there_is_nothing_to_report() -> None:
    assert hydrate(PAGE, NOON) is None
    assert hydrate("<p>another page</p>", NOON) is None
    assert render_basket({"lines": []}) is None


def test_another_hour_is_a_hydration_error() -> None:
    error = hydrate(PAGE, NOON.replace(hour=21))
    assert error is not None
    assert error.message in SCRIPT.replace('"\n      "', "")
    assert dict(error.extra)["client"].endswith("we dispatch tomorrow.")


def test_a_basket_without_lines_is_the_browsers_own_type_error() -> None:
    error = render_basket({})
    assert error is not None
    clock = ManualClock()
    body = envelope(
        error, SCRIPT, page_url="http://shop.example/basket", user_agent="UA", now=clock.now()
    )
    context = Context("demo", "demo", clock.now(), clean=lambda text: text)
    (failure,) = read_envelope(body, "", context).failures
    assert failure.message == "TypeError: Cannot read properties of undefined (reading 'length')"
    assert (failure.source_kind, failure.route) == ("browser", "/basket")
    line = SCRIPT[: SCRIPT.index("basket.lines.length")].count("\n") + 1
    assert failure.stack is not None
    assert failure.stack.splitlines()[1] == (
        f"    at renderBasket (http://shop.example/static/shop.js:{line}:5)"
    )
