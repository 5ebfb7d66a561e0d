import unittest

from aiohttp.test_utils import AioHTTPTestCase

from app import build_app


class PagesTest(AioHTTPTestCase):
    async def get_application(self):
        return build_app()

    async def test_pages_are_served(self) -> None:
        for path in ("/", "/about", "/basket", "/products/sencha", "/static/shop.css"):
            with self.subTest(path):
                self.assertEqual((await self.client.get(path)).status, 200)

    async def test_a_product_as_json(self) -> None:
        body = await (await self.client.get("/api/products/kettle")).json()
        self.assertEqual((body["slug"], body["shipping_cents"]), ("kettle", 490))

    async def test_what_we_do_not_sell_is_404(self) -> None:
        for path in ("/products/coffee", "/api/products/coffee"):
            self.assertEqual((await self.client.get(path)).status, 404)

    async def test_a_basket_keeps_its_lines(self) -> None:
        for _ in range(2):
            await self.client.post("/api/basket", json={"slug": "sencha"})
        body = await (await self.client.get("/api/basket")).json()
        self.assertEqual(body, {"lines": [{"slug": "sencha", "quantity": 2}]})

    async def test_signed_in_one_sees_ones_page(self) -> None:
        await self.client.post("/api/login", json={"customer": "Ada"})
        self.assertIn("Ada", await (await self.client.get("/account")).text())


if __name__ == "__main__":
    unittest.main()
