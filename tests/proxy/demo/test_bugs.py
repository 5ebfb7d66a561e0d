"""The shop on a real database: each bug is real, and its answer says so as a debug mode would."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.clock import SystemClock
from proxy.demo.app_host import AppHost
from proxy.demo.database import make_database
from proxy.demo.repository import make_repo
from proxy.demo.traffic import Traffic
from proxy.demo.visitors import BUGGY, HEALTHY, PERSONAS, Visitor, deck
from proxy.store.embedded import Cluster

Shop = tuple[AppHost, aiohttp.ClientSession]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.ensure_running()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "repo"
    make_repo(path)
    return path


@pytest.fixture(scope="module")
def shop_url(cluster: Cluster, repo: Path) -> str:
    return asyncio.run(make_database(cluster.installer_dsn(), repo / "schema.sql"))


@pytest.fixture
async def shop(shop_url: str, repo: Path, tmp_path: Path) -> AsyncIterator[Shop]:
    host = AppHost(repo, tmp_path / "shop.log")
    await host.start(SHOP_DATABASE_URL=shop_url)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(host.url, cookie_jar=jar) as session:
        yield host, session
    await host.stop()


async def _json(answer: aiohttp.ClientResponse) -> Any:
    return await answer.json()


async def test_a_missing_weight_is_a_real_validation_error(shop: Shop) -> None:
    answer = await shop[1].get("/api/products/gift-card")
    body = await _json(answer)
    assert (answer.status, body["error"]) == (500, "ValidationError")
    assert "weight_grams" in body["message"]
    assert "valid integer" in body["message"]


async def test_a_guest_review_is_refused_by_row_level_security(shop: Shop) -> None:
    answer = await shop[1].post("/api/products/sencha/reviews", json={"stars": 4, "body": "Good."})
    body = await _json(answer)
    assert (answer.status, body["code"]) == (500, "42501")
    assert body["message"] == 'new row violates row-level security policy for table "reviews"'


async def test_a_second_subscription_is_a_unique_violation(shop: Shop) -> None:
    first = await shop[1].post("/api/newsletter", json={"email": "zoe@example.org"})
    assert first.status == 201
    answer = await shop[1].post("/api/newsletter", json={"email": "zoe@example.org"})
    body = await _json(answer)
    assert (answer.status, body["code"]) == (500, "23505")
    assert "newsletter_email_key" in body["message"]


async def test_the_join_is_slow_enough_to_be_cancelled(shop: Shop) -> None:
    answer = await shop[1].get("/api/orders/together")
    body = await _json(answer)
    assert (answer.status, body["code"]) == (500, "57014")
    assert body["message"] == "canceling statement due to statement timeout"


async def test_an_old_session_is_a_signature_error_as_a_page(shop: Shop) -> None:
    answer = await shop[1].get("/account", cookies={"session": "k1.QWRh.0123"})
    assert answer.status == 500
    assert "InvalidTokenError: Signature verification failed" in await answer.text()


async def test_offers_go_round_in_circles(shop: Shop) -> None:
    with pytest.raises(aiohttp.TooManyRedirects):
        await shop[1].get("/offers")


async def test_what_works_works(shop: Shop) -> None:
    session = shop[1]
    await session.post("/api/login", json={"customer": "Ada"})
    review = {"stars": 5, "body": "Again."}
    answers = [
        await session.post("/api/products/kettle/reviews", json=review),
        await session.get("/api/products/kettle/reviews"),
        await session.get("/api/orders/latest"),
        await session.get("/account"),
        await session.get("/"),
        await session.get("/products/gift-card"),
    ]
    assert [answer.status for answer in answers] == [201, 200, 200, 200, 200, 200]


async def test_a_restart_loses_no_connection(shop: Shop) -> None:
    host, session = shop
    restart = asyncio.create_task(host.restart())
    statuses = []
    while not restart.done():
        async with session.get("/about", headers={"Connection": "close"}) as answer:
            statuses.append(answer.status)
    await restart
    assert host.restarts == 1
    assert statuses
    assert set(statuses) == {200}


async def test_every_deed_of_a_visitor_comes_to_its_end(shop: Shop) -> None:
    traffic = Traffic(shop[0].url)
    for persona in PERSONAS[:3]:
        visitor = Visitor(shop[0].url, persona, SystemClock(), traffic._dice)
        for deed in [*HEALTHY, *BUGGY]:
            await deed(visitor)
        assert visitor.requests > len(HEALTHY) + len(BUGGY)
        await visitor.close()


async def test_traffic_keeps_its_pace_and_survives_a_closed_shop(shop: Shop) -> None:
    traffic = Traffic(shop[0].url)
    await traffic.start()
    await asyncio.sleep(2)
    await shop[0].stop()
    await asyncio.sleep(0.5)
    await traffic.stop()
    assert 20 <= traffic.requests <= 120
    assert traffic.stats["troubled"] >= 1


def test_every_bug_comes_up_in_every_deck() -> None:
    import random

    for seed in range(5):
        cards = deck(random.Random(seed))
        assert set(BUGGY) <= set(cards)
        assert sum(card in HEALTHY for card in cards) > 2 * sum(card in BUGGY for card in cards)
