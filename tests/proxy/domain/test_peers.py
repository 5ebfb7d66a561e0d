"""Whose words are believed, and whose request it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.peers import HOPS_MAX, Trust, plain_address, visitor

LOCAL = Trust(["127.0.0.0/8", "10.0.0.0/8", "unix"])


@pytest.mark.parametrize(
    ("words", "trusted", "others"),
    [
        (
            ("127.0.0.0/8", "::1/128", "unix"),
            ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", ""],
            ["10.0.0.1", "::2", "nonsense"],
        ),
        (("10.0.0.0/8", "fd00::/8"), ["10.255.0.1", "fd12::1%eth0"], ["11.0.0.1", "fe80::1", ""]),
        (("192.0.2.7",), ["192.0.2.7"], ["192.0.2.8", "127.0.0.1"]),
        ((), [], ["127.0.0.1", "::1", ""]),
    ],
)
def test_trust_is_a_list_of_networks(
    words: tuple[str, ...], trusted: list[str], others: list[str]
) -> None:
    trusts = Trust(words)
    for _ in range(2):  # found, and remembered
        assert [peer for peer in trusted + others if trusts(peer)] == trusted


@given(st.ip_addresses())
def test_an_address_has_one_plain_form(address: object) -> None:
    plain = plain_address(str(address))
    assert plain_address(plain) == plain
    assert Trust([plain])(str(address))


@pytest.mark.parametrize(
    ("peer", "said", "asked"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("", ["192.0.2.7"], "192.0.2.7"),  # a proxy on a unix socket
        ("127.0.0.1", ["192.0.2.7", "10.1.1.1"], "192.0.2.7"),
        ("127.0.0.1", ["192.0.2.7, 10.1.1.1,10.1.1.2"], "192.0.2.7"),
        ("127.0.0.1", ["192.0.2.7:4711"], "192.0.2.7"),
        ("127.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("127.0.0.1", ["::ffff:192.0.2.7"], "192.0.2.7"),
        # what stands left of a stranger is the stranger's invention
        ("127.0.0.1", ["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
        ("192.0.2.7", ["6.6.6.6"], "192.0.2.7"),
        # everybody on the way is ours: the farthest of them asked
        ("127.0.0.1", ["10.1.1.1"], "10.1.1.1"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.7, ", ""], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.7, unknown, 10.1.1.1"], "10.1.1.1"),
        ("127.0.0.1", ["192.0.2.7" + ", 10.1.1.1" * HOPS_MAX], "10.1.1.1"),
    ],
)
def test_the_nearest_stranger_asked(peer: str, said: list[str], asked: str) -> None:
    assert visitor(peer, said, LOCAL) == asked


@given(st.lists(st.text(max_size=80), max_size=5))
def test_whatever_is_claimed_an_address_comes_out(said: list[str]) -> None:
    asked = visitor("127.0.0.1", said, LOCAL)
    assert plain_address(asked) == asked
    assert Trust([asked])(asked)
