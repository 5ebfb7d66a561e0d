from typing import Any

from proxy.app.live import CACHE_S, LiveStatus, exposition
from proxy.clock import ManualClock
from proxy.config import Config
from proxy.domain.exchange import Exchange, Outcome
from proxy.domain.surroundings import Surroundings
from proxy.observability.recorder import Recorder


def report(name: str, *, upstream: str = "ok", fail: int = 0, good: int = 10) -> dict[str, Any]:
    recorder = Recorder()
    for n in range(good + fail):
        status = 500 if n < fail else 200
        recorder.record(
            Exchange(1000.0 + n, 20.0, "GET", b'/we"ird', status, Outcome.ANSWERED, client="c")
        )
    return {
        "worker": name,
        "pid": 1,
        "accepting": True,
        "draining": False,
        "stats": {
            "upstream": upstream,
            "upstream_error": "refused" if upstream == "refusing" else None,
            "connections": 1,
            "in_flight": 0,
            "tunnels": 0,
            "pool_idle": 0,
        },
        "storage": {"state": "ok"},
        "capture": {
            "seen": fail,
            "dropped": 0,
            "rows_stored": 0,
            "rows_dropped": 0,
            "sdk_events": 0,
        },
        "surroundings": Surroundings().facts(),
        "snapshot": recorder.snapshot(1000.0 + good + fail),
    }


def live(reports: list[dict[str, Any]], clock: ManualClock | None = None) -> LiveStatus:
    return LiveStatus(Config(), clock or ManualClock(), lambda: reports, lambda: {"state": "ok"})


def test_nobody_reports_yet() -> None:
    status = live([])
    assert not status.accepting
    assert status.health().status == "starting"
    assert status.health().score is None
    assert status.routes() == []


def test_workers_add_up() -> None:
    status = live([report("worker-0"), report("worker-1", good=5)])
    health = status.health()
    assert (health.status, health.requests, health.score) == ("ok", 15, 100)
    assert [worker["name"] for worker in health.workers] == ["worker-0", "worker-1"]
    (route,) = status.routes()
    assert route.requests == 15


def test_harm_costs_points_and_says_why() -> None:
    health = live([report("worker-0", fail=5, good=5)]).health()
    assert health.status == "degraded"
    assert health.score is not None
    assert health.score < 70
    assert "error_rate" in {term.term for term in health.why}


def test_an_upstream_counts_as_refusing_only_when_no_worker_reaches_it() -> None:
    assert live([report("a", upstream="refusing")]).upstream_refused
    assert not live([report("a", upstream="refusing"), report("b")]).upstream_refused
    assert live([report("a", upstream="refusing")]).health().upstream["error"] == "refused"


def test_draining_wins() -> None:
    status = live([report("worker-0")])
    status.draining = True
    assert not status.accepting
    assert status.health().status == "draining"


def test_several_readers_share_one_merge() -> None:
    clock, reports = ManualClock(), [report("worker-0")]
    status = live(reports, clock)
    assert status.health().requests == 10
    reports[:] = [report("worker-0", good=20)]
    assert status.health().requests == 10
    clock.advance(CACHE_S)
    assert status.health().requests == 20


def test_the_exposition_is_well_formed() -> None:
    one = report("worker-0", fail=1)
    text = exposition([one], live([one]).merged(), accepting=True)
    assert text.endswith("\n")
    seen: set[str] = set()
    current = ""
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            current = line.split()[2]
            assert current not in seen, "a metric stands in one group"
            seen.add(current)
        else:
            assert line.startswith(current)
            float(line.rpartition(" ")[2])
    assert 'route="/we\\"ird"' in text or "selfheal_route_duration_ms" in text
    assert 'selfheal_requests_total{class="5xx"} 1' in text


def test_a_route_has_its_share_of_the_traffic() -> None:
    status = live([report("worker-0"), report("worker-1", good=5)])
    (route,) = status.routes()
    assert status.traffic_share("GET", route.route) == 1.0
    assert status.traffic_share(None, route.route) == 1.0
    assert status.traffic_share("POST", route.route) == 0.0
    assert status.traffic_share("GET", None) is None
    assert live([]).traffic_share("GET", "/x") is None


def test_what_is_open_is_known_only_when_every_worker_speaks() -> None:
    told = report("worker-0")
    told["snapshot"]["open"] = [{"kind": "latency", "method": "GET", "route": "/x"}]
    assert live([told]).open_incidents(1) == {("latency", "GET", "/x")}
    assert live([told]).open_incidents(2) is None
