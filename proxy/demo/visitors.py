"""Who visits the shop, and what they do there:

mostly well, and now and then into one of its bugs.
"""

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import aiohttp

from proxy.clock import Clock
from proxy.demo.page_script import PageError, envelope, hydrate, render_basket
from proxy.demo.patches import BROKEN_ROUTE

SLUGS = ("sencha", "gyokuro", "darjeeling", "tieguanyin", "lapsang", "kettle")
REPORTS = "/__selfheal/api/1/envelope/"
REDIRECTS_MAX = 10
_RETIRED_KEY = ("k1", b"slow-water-2024")
"""The key the shop signed sessions with before it rotated: these visitors never signed in again."""


@dataclass(frozen=True, slots=True)
class Persona:
    name: str
    user_agent: str
    language: str
    hours_from_utc: int


PERSONAS = (
    Persona(
        "Ada", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "en", 0
    ),
    Persona(
        "Bruno", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0 Safari/537.36", "de", 1
    ),
    Persona("Chiyo", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1) Safari/605.1.15", "ja", 9),
    Persona("Delphine", "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) Safari/605.1.15", "fr", 2),
    Persona("Emeka", "Mozilla/5.0 (Linux; Android 15) Chrome/142.0 Mobile Safari/537.36", "en", 1),
)


class Visitor:
    """One browser: its own cookies, its own clock. Every method is one thing a person does."""

    def __init__(self, base: str, persona: Persona, clock: Clock, dice: random.Random) -> None:
        self._base, self.persona, self._clock, self._dice = base, persona, clock, dice
        self._script: str | None = None
        self.requests = 0
        self.session = aiohttp.ClientSession(
            headers={"User-Agent": persona.user_agent, "Accept-Language": persona.language},
            # the shop lives at an address, not at a name
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            timeout=aiohttp.ClientTimeout(total=15),
        )

    # --- what works ---------------------------------------------------------------------------

    async def look_around(self) -> None:
        await self._get("/about")
        await self._get(f"/products/{self._slug()}")

    async def read_catalogue(self) -> None:
        await self._get("/api/products")
        await self._get(f"/api/products/{self._slug()}")

    async def read_orders(self) -> None:
        await self._get("/api/orders/latest")

    async def read_reviews(self) -> None:
        await self._get(f"/api/products/{self._slug()}/reviews")

    async def buy(self) -> None:
        await self._post("/api/basket", {"slug": self._slug()})
        await self._get("/api/basket")

    async def sign_in_and_review(self) -> None:
        await self._post("/api/login", {"customer": self.persona.name})
        review = {"stars": 5, "body": "Again, please."}
        await self._post(f"/api/products/{self._slug()}/reviews", review)
        await self._get("/account")
        self.session.cookie_jar.clear()

    # --- what does not ------------------------------------------------------------------------

    async def open_home(self) -> None:
        """SSR_HYDRATION: the server renders its own hour, the browser the visitor's."""
        page = await self._get("/")
        local = self._clock.now() + timedelta(hours=self.persona.hours_from_utc)
        await self._report("/", hydrate(page.decode(), local))

    async def open_basket_first_time(self) -> None:
        """UI_BUG: a visitor without a basket gets an object without lines."""
        self.session.cookie_jar.clear()
        await self._get("/basket")
        basket = json.loads(await self._get("/api/basket"))
        await self._report("/basket", render_basket(basket))

    async def want_gift_card(self) -> None:
        """API_SCHEMA: a gift card weighs nothing, the model wants a number."""
        await self._get(BROKEN_ROUTE)

    async def review_as_guest(self) -> None:
        """RLS_VIOLATION: the row says guest, the session says nobody."""
        self.session.cookie_jar.clear()
        review = {"stars": 4, "body": "Good."}
        await self._post(f"/api/products/{self._slug()}/reviews", review)

    async def come_back_after_months(self) -> None:
        """AUTH_FAILURE: a session signed with the key that was rotated away."""
        await self._get("/account", cookies={"session": _old_session(self.persona.name)})

    async def see_what_goes_together(self) -> None:
        """PERFORMANCE: a join over two years of orders without an index."""
        await self._get("/api/orders/together")

    async def subscribe_again(self) -> None:
        """DB_ERROR: a double click; the address is there already, and nobody catches that."""
        for _ in range(2):
            email = f"{self.persona.name.lower()}@example.org"
            await self._post("/api/newsletter", {"email": email})

    async def look_at_offers(self) -> None:
        """REDIRECT_LOOP: the cookie that would end it is set for another path."""
        self.session.cookie_jar.clear()
        try:
            await self._get("/offers", max_redirects=REDIRECTS_MAX)
        except aiohttp.TooManyRedirects:
            self.requests += REDIRECTS_MAX - 1

    # --- how ----------------------------------------------------------------------------------

    async def close(self) -> None:
        await self.session.close()

    def _slug(self) -> str:
        return self._dice.choice(SLUGS)

    async def _get(self, path: str, **options: object) -> bytes:
        return await self._request("GET", path, **options)

    async def _post(self, path: str, body: dict[str, object]) -> None:
        await self._request("POST", path, json=body)

    async def _request(self, method: str, path: str, **options: object) -> bytes:
        self.requests += 1
        async with self.session.request(method, self._base + path, **options) as answer:  # type: ignore[arg-type]  # aiohttp's own keywords, passed through
            return await answer.read()

    async def _report(self, page: str, error: PageError | None) -> None:
        if error is None:
            return
        if self._script is None:
            self._script = (await self._get("/static/shop.js")).decode()
        body = envelope(
            error,
            self._script,
            page_url=self._base + page,
            user_agent=self.persona.user_agent,
            now=self._clock.now(),
        )
        address = f"{REPORTS}?sentry_version=7&sentry_key=shop"
        await self._request(
            "POST", address, data=body, headers={"Content-Type": "text/plain;charset=UTF-8"}
        )


def _old_session(customer: str) -> str:
    key_id, key = _RETIRED_KEY
    name = base64.urlsafe_b64encode(customer.encode()).decode().rstrip("=")
    return f"{key_id}.{name}.{hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:32]}"


Deed = Callable[[Visitor], Awaitable[None]]

HEALTHY: dict[Deed, int] = {
    Visitor.look_around: 12,
    Visitor.read_catalogue: 10,
    Visitor.read_orders: 6,
    Visitor.read_reviews: 6,
    Visitor.buy: 4,
    Visitor.sign_in_and_review: 2,
}
"""How often each comes up in one deck."""

BUGGY: dict[Deed, int] = {
    Visitor.open_home: 3,
    Visitor.open_basket_first_time: 1,
    Visitor.want_gift_card: 2,
    Visitor.review_as_guest: 1,
    Visitor.come_back_after_months: 1,
    Visitor.see_what_goes_together: 1,
    Visitor.subscribe_again: 1,
    Visitor.look_at_offers: 1,
}


def deck(dice: random.Random) -> list[Deed]:
    """Every deed as often as its table says, shuffled: each bug comes up in every deck."""
    cards = [
        deed for table in (HEALTHY, BUGGY) for deed, times in table.items() for _ in range(times)
    ]
    dice.shuffle(cards)
    return cards
