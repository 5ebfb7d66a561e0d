"""Who stands around, from the headers of what failed; bounded, and no address or cookie leaves."""

from proxy.domain.exchange import Capture, Exchange, Headers, Outcome
from proxy.domain.peers import Trust
from proxy.domain.surroundings import EVERY_ONE_UNTIL, NAMES_MAX, THEN_EVERY, Surroundings

LOCAL = Trust(["127.0.0.0/8"])


def failing(
    request: Headers, response: Headers, client: str = "192.0.2.7", trace: str | None = None
) -> Exchange:
    capture = Capture(request, response_headers=response)
    return Exchange(
        1.0, 5.0, "GET", b"/", 500, Outcome.ANSWERED, client=client, trace_id=trace, capture=capture
    )


def test_names_come_with_the_header_that_gave_them_away() -> None:
    around = Surroundings()
    around.see(
        failing(
            [(b"CF-Ray", b"8c0a"), (b"Via", b"1.1 edge-7"), (b"X-Forwarded-For", b"192.0.2.7")],
            [(b"Server", b"gunicorn"), (b"Set-Cookie", b"__Host-csrftoken=s3cret; Path=/")],
        ),
        LOCAL,
    )
    facts = around.facts()
    assert facts["front"] == {
        "Cloudflare": "cf-ray",
        "1.1 edge-7": "via",
        "a reverse proxy": "x-forwarded-for",
    }
    assert facts["behind"] == {"gunicorn": "server", "Django": "set-cookie"}
    assert "s3cret" not in repr(facts)
    assert "192.0.2.7" not in repr(facts)
    assert (facts["requests"], facts["traced"], facts["visitors"], facts["stranger"]) == (
        1,
        0,
        1,
        "",
    )


def test_who_names_visitors_without_being_trusted_is_told() -> None:
    around = Surroundings()
    around.see(failing([(b"X-Forwarded-For", b"192.0.2.7")], [], client="10.0.0.9"), LOCAL)
    assert around.facts()["stranger"] == "10.0.0.9"
    nonsense = Surroundings()
    nonsense.see(failing([(b"X-Forwarded-For", b"unknown")], [], client="127.0.0.1"), LOCAL)
    assert nonsense.facts()["stranger"] == ""


def test_a_storm_is_sampled_and_words_are_bounded() -> None:
    around = Surroundings()
    storm = EVERY_ONE_UNTIL + 10 * THEN_EVERY
    for n in range(storm):
        around.see(
            failing([(b"Via", b"%d " % n + b"x" * 500)], [], client=f"192.0.2.{n % 9}"), LOCAL
        )
    facts = around.facts()
    assert EVERY_ONE_UNTIL < facts["requests"] < storm / 3
    assert len(facts["front"]) == NAMES_MAX
    assert max(len(name) for name in facts["front"]) <= 80
    assert facts["visitors"] == 2


def test_without_a_copy_nothing_is_known() -> None:
    around = Surroundings()
    around.see(Exchange(1.0, 5.0, "GET", b"/", 500, Outcome.ANSWERED), LOCAL)
    assert around.facts()["requests"] == 0
