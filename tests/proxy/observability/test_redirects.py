"""Redirect cycles: told when walked twice, per client, within bounds."""

from proxy.observability.redirects import RedirectTracker, local


def test_a_circle_walked_twice_is_told_once() -> None:
    tracker = RedirectTracker()
    told = []
    for round_ in range(5):
        told.append(tracker.step("1.2.3.4", "/login", "/home", round_ * 0.2))
        told.append(tracker.step("1.2.3.4", "/home", "/login", round_ * 0.2 + 0.1))
    circles = [t for t in told if t]
    assert circles == [("/login", "/home", "/login")]
    assert told.index(circles[0]) == 3


def test_a_page_that_redirects_to_itself() -> None:
    tracker = RedirectTracker()
    assert tracker.step("c", "/a", "http://shop.example/a", 0.0) is None
    assert tracker.step("c", "/a", "/a", 0.1) == ("/a", "/a")


def test_two_clients_walking_halves_are_no_circle() -> None:
    tracker = RedirectTracker()
    for n in range(10):
        assert tracker.step("one", "/login", "/home", n * 0.1) is None
        assert tracker.step("two", "/home", "/login", n * 0.1) is None


def test_a_redirect_after_login_is_no_circle() -> None:
    tracker = RedirectTracker()
    for n in range(6):
        at = n * 30.0
        assert tracker.step("c", "/app", "/login", at) is None
        assert tracker.step("c", "/login", "/app", at + 20.0) is None


def test_queries_tell_pages_apart() -> None:
    tracker = RedirectTracker()
    assert all(tracker.step("c", f"/p?n={n}", f"/p?n={n + 1}", n * 0.1) is None for n in range(30))


def test_memory_is_bounded() -> None:
    tracker = RedirectTracker(clients_max=50)
    for n in range(5000):
        tracker.step(str(n), "/a", "/b", 0.0)
    assert len(tracker) == 50


def test_told_again_after_a_minute() -> None:
    tracker = RedirectTracker()
    told = [tracker.step("c", "/a", "/a", n * 1.0) for n in range(130)]
    assert sum(t is not None for t in told) == 3


def test_hostile_locations() -> None:
    assert local("/a", "http://[broken") is None
    assert local("/a/b", "../c?x=1") == "/c?x=1"
    assert local("/a", "") == "/a"
    assert RedirectTracker().step("c", "/a", "http://[x", 0.0) is None
