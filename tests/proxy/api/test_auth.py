"""Tokens: remembered for reading only, counted when wrong, honest when nobody can tell."""

import asyncio

import pytest

from proxy.api.auth import (
    CHECKS_AT_ONCE,
    FAILURE_WINDOW_S,
    FAILURES_MAX,
    REMEMBER_AWAY_S,
    REMEMBER_S,
    Authenticator,
    Credential,
    read_bearer,
)
from proxy.api.problems import Refusal
from proxy.clock import ManualClock
from proxy.domain.approval import Actor
from proxy.errors import Unavailable
from tests.support.api import ApiUnderTest

ADA = Credential("ada", "right")


class Login:
    """Stands where Postgres stands: knows one secret, counts its hashes, can be away."""

    def __init__(self) -> None:
        self.checks = 0
        self.at_once = 0
        self.most_at_once = 0
        self.away = False
        self.role = "founder"

    async def __call__(self, dsn: str, name: str, secret: str) -> Actor | None:
        if self.away:
            raise Unavailable("gone")
        self.checks += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return Actor(name, self.role) if secret == "right" else None


def authenticator(login: Login, clock: ManualClock) -> Authenticator:
    async def never(dsn: str, name: str, secret: str) -> object:
        raise AssertionError("reading opens no connection for deeds")

    return Authenticator(lambda: "postgres://x", login, never, clock)


async def refused(auth: Authenticator, credential: Credential, peer: str = "1") -> Refusal:
    with pytest.raises(Refusal) as caught:
        await auth.identify(credential, peer)
    return caught.value


async def test_a_success_is_remembered_for_a_minute() -> None:
    login, clock = Login(), ManualClock()
    auth = authenticator(login, clock)
    for _ in range(5):
        assert (await auth.identify(ADA, "1")).role == "founder"
    assert login.checks == 1
    login.role = "viewer"
    clock.advance(REMEMBER_S)
    assert (await auth.identify(ADA, "1")).role == "viewer"


async def test_while_the_database_is_away_reads_go_on_for_a_while() -> None:
    login, clock = Login(), ManualClock()
    auth = authenticator(login, clock)
    await auth.identify(ADA, "1")
    login.away = True
    clock.advance(REMEMBER_AWAY_S - 1)
    assert (await auth.identify(ADA, "1")).name == "ada"
    clock.advance(1)
    with pytest.raises(Unavailable):
        await auth.identify(ADA, "1")
    with pytest.raises(Unavailable):
        await auth.identify(Credential("bob", "right"), "1")


async def test_wrong_secrets_are_counted_per_name_and_peer() -> None:
    login, clock = Login(), ManualClock()
    auth = authenticator(login, clock)
    for n in range(FAILURES_MAX):
        assert (await refused(auth, Credential("ada", f"wrong{n}"))).status == 401
    told = await refused(auth, ADA)
    assert (told.status, told.code) == (429, "too_many_failures")
    assert int(told.headers["Retry-After"]) <= FAILURE_WINDOW_S + 1
    checks = login.checks
    await refused(auth, ADA)
    assert login.checks == checks
    await auth.identify(Credential("bob", "right"), "1")
    await auth.identify(ADA, "2")
    clock.advance(FAILURE_WINDOW_S)
    await auth.identify(ADA, "1")


async def test_a_remembered_reader_is_not_locked_out_by_others_failures() -> None:
    login = Login()
    auth = authenticator(login, ManualClock())
    await auth.identify(ADA, "1")
    for n in range(FAILURES_MAX):
        await refused(auth, Credential("ada", f"wrong{n}"))
    assert (await auth.identify(ADA, "1")).name == "ada"


async def test_few_checks_run_at_once_and_one_token_is_checked_once() -> None:
    login = Login()
    auth = authenticator(login, ManualClock())
    await asyncio.gather(*(auth.identify(ADA, "1") for _ in range(50)))
    assert login.checks == 1
    others = [Credential(f"m{n}", "right") for n in range(40)]
    await asyncio.gather(*(auth.identify(other, "1") for other in others))
    assert login.most_at_once <= CHECKS_AT_ONCE


async def test_a_forgotten_secret_is_asked_again() -> None:
    login = Login()
    auth = authenticator(login, ManualClock())
    await auth.identify(ADA, "1")
    auth.forget()
    await auth.identify(ADA, "1")
    assert login.checks == 2


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ada", "Basic YWRhOng=", "Bearer :x", "Bearer ada:", "ada:right"],
)
def test_what_is_no_token(header: str | None) -> None:
    with pytest.raises(Refusal) as caught:
        read_bearer(header)
    assert caught.value.status == 401


def test_a_secret_never_shows_in_a_repr() -> None:
    credential = read_bearer("bearer ada:s3cr3t:with:colons")
    assert credential.secret == "s3cr3t:with:colons"
    assert "s3cr3t" not in repr(credential)


async def test_with_the_database_away_reads_go_on_and_deeds_do_not(api: ApiUnderTest) -> None:
    await api.ok("founder", "GET", "/health")
    api.away = True
    health = await api.ok("founder", "GET", "/health")
    assert (health["score"], health["storage"]["state"]) == (97, "away")
    assert (await api.ok("founder", "GET", "/routes"))["routes"][0]["route"] == "/orders/{id}"
    told = await api.ok("founder", "POST", "/ask", {"text": "what's broken?"})
    assert "out of reach" in told["answer"]
    for method, path, body in (
        ("GET", "/jobs", None),
        ("GET", "/audit", None),
        ("POST", "/jobs", {"message": "boom"}),
        ("POST", "/jobs/1/status", {"status": "closed"}),
        ("POST", "/patches/1/apply", {"digest": "0" * 64, "idempotency_key": "k" * 9}),
        ("PUT", "/control", {"based_on": 0, "rules": {}, "reason": "x"}),
    ):
        status, answer = await api.call("founder", method, path, body)
        assert (status, answer["code"]) == (503, "unavailable"), path
    status, _ = await api.call("viewer", "GET", "/health")
    assert status == 503
    assert (await api.call(None, "GET", "/readyz"))[0] == 200
