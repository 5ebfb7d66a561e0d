import unittest

from shop import sessions


class SessionsTest(unittest.TestCase):
    def test_a_token_names_its_customer(self) -> None:
        self.assertEqual(sessions.customer_of(sessions.issue("Ada")), "Ada")

    def test_a_forged_token_is_refused(self) -> None:
        with self.assertRaises(sessions.InvalidTokenError):
            sessions.customer_of(sessions.issue("Ada")[:-1] + "_")
