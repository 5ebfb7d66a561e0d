"""Who is on the other end: addresses as others write them, whose words about a visitor are
believed, and whose request it was in the end.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

PEERS_MAX = 4096
"""Addresses whose standing is remembered; beyond it they are looked up anew."""
HOPS_MAX = 32
"""Proxies in a row that are followed back; what claims more is believed no further."""
ADDRESS_CHARS_MAX = 64
"""The longest IPv6 address with a zone or a port is shorter."""


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """``10.0.0.0/8``, ``fd00::/8`` or one address. ``ValueError`` names what is accepted."""
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address, no network and not 'unix': {error}") from None


def plain_address(peer: str) -> str:
    """An address as others write it: without a zone, and IPv4 where IPv6 only carries it."""
    return _address(peer) or peer


def _address(text: str) -> str | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


class Trust:
    """The peers whose own forwarding words are kept: networks, and ``unix`` for those that have no
    address.
    """

    def __init__(self, words: Iterable[str]) -> None:
        words = tuple(words)
        self._unix = "unix" in words
        self._networks = [parse_network(word) for word in words if word != "unix"]
        self._known: dict[str, bool] = {}

    def __call__(self, peer: str) -> bool:
        known = self._known.get(peer)
        if known is None:
            known = self._look_up(peer)
            if len(self._known) < PEERS_MAX:
                self._known[peer] = known
        return known

    def _look_up(self, peer: str) -> bool:
        if not peer:
            return self._unix
        try:
            address = ip_address(plain_address(peer))
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def visitor(peer: str, x_forwarded_for: Sequence[str], trusts: Trust) -> str:
    """The address that asked: the peer's, or, as long as those who pass it on are trusted, the one
    they name. ``x_forwarded_for`` are the header's lines in order; each hop appends on the right,
    so they are read from there, and what stands left of a stranger is the stranger's invention.
    """
    if not x_forwarded_for or not trusts(peer):
        return peer
    found = peer
    for word in reversed(",".join(x_forwarded_for[-HOPS_MAX:]).split(",")[-HOPS_MAX:]):
        address = _address(_without_port(word.strip()[:ADDRESS_CHARS_MAX]))
        if address is None:
            break
        found = address
        if not trusts(address):
            break
    return found


def _without_port(word: str) -> str:
    """Some proxies write ``192.0.2.1:4711`` and ``[2001:db8::1]:4711``."""
    if word.startswith("["):
        return word[1:].partition("]")[0]
    head, colon, _ = word.partition(":")
    return head if colon and word.count(":") == 1 else word
