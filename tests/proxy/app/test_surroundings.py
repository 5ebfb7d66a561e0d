"""What cannot be seen is told with what would open it, and only where that is so."""

from typing import Any

from proxy.app.doctor_live import around
from proxy.app.surroundings import view
from proxy.config import Config

NOTHING: dict[str, Any] = {
    "front": {},
    "behind": {},
    "requests": 0,
    "traced": 0,
    "visitors": 0,
    "stranger": "",
}
WHOLE = Config.of({"repo": {"path": "/srv/app", "start": "run", "test": "make test"}})


def blind(config: Config = WHOLE, sdk_events: int = 1, **facts: Any) -> list[str]:
    """The remedies, without the one that always stands first."""
    spots = view(config, [NOTHING, NOTHING | facts], sdk_events).blind
    assert spots[0].to.startswith("what does not pass the data port")
    return [spot.remedy for spot in spots[1:]]


def test_a_whole_installation_is_blind_to_what_goes_round_it_only() -> None:
    assert blind(requests=50, traced=50, visitors=2, front={"nginx": "via"}) == []


def test_each_blind_spot_names_its_remedy() -> None:
    assert blind(Config()) == ["set repo.path", "set repo.start", "set repo.test"]
    (dsn,) = blind(sdk_events=0)
    assert "/__selfheal/1" in dsn
    off = Config.of({"ingest": {"enabled": False}, "repo": WHOLE.repo})
    assert blind(off, sdk_events=0) == ["ingest.enabled = true"]
    assert blind(requests=50, visitors=2) == ["trace.mode = start"]
    assert blind(requests=3, visitors=1) == [], "three requests prove nothing"
    (name_it,) = blind(requests=50, traced=1, visitors=2, stranger="10.0.0.9")
    assert name_it == "add it to downstream.trusted"
    (forward,) = blind(requests=50, traced=1, visitors=1, front={"nginx": "via"})
    assert "X-Forwarded-For" in forward
    assert blind(requests=50, traced=1, visitors=1) == [], "one visitor, and nobody in front"


def test_workers_add_up_and_the_doctor_says_it_in_lines() -> None:
    seen = view(
        WHOLE,
        [
            NOTHING | {"front": {"nginx": "via"}, "requests": 4},
            NOTHING | {"behind": {"gunicorn": "server"}, "requests": 3},
        ],
        1,
    )
    front, behind, blind_to = around(seen, "http://app:1")
    assert front.text == "nginx (via), by 7 failing or redirected requests"
    assert behind.text == "http://app:1: gunicorn (server), by 7 failing or redirected requests"
    assert (blind_to.name, blind_to.state) == ("blind to", "reduced")
    nobody = around(view(WHOLE, [], 1), "http://app:1")
    assert nobody[0].text.startswith("nobody who names himself")
