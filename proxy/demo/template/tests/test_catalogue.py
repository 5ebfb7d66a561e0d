import unittest

from shop import catalogue


class CatalogueTest(unittest.TestCase):
    def test_every_entry_has_a_price(self) -> None:
        for entry in catalogue.entries().values():
            self.assertGreater(entry["price_cents"], 0, entry["slug"])

    def test_a_product_is_read_whole(self) -> None:
        product = catalogue.product("sencha")
        assert product is not None
        self.assertEqual((product.title, product.weight_grams), ("Sencha Asamushi", 100))

    def test_an_unknown_product_is_none(self) -> None:
        self.assertIsNone(catalogue.product("coffee"))

    def test_light_things_go_as_a_letter(self) -> None:
        rates = {}
        for slug in ("sencha", "kettle"):
            product = catalogue.product(slug)
            assert product is not None
            rates[slug] = product.shipping_cents
        self.assertEqual(rates, {"sencha": 195, "kettle": 490})
