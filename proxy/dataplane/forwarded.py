"""Who asked, over what, for which host: X-Forwarded-* and Forwarded (RFC 7239), when a setting asks
for them, and whose earlier words about that are believed.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from proxy.config import parse_network
from proxy.dataplane.request_head import RequestHead

WRITTEN = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"})
_FAMILY = b"x-forwarded-"
PEERS_MAX = 4096
"""Addresses whose standing is remembered; beyond it they are looked up anew."""


def plain_address(peer: str) -> str:
    """An address as others write it: without a zone, and IPv4 where IPv6 only carries it."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
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


def forwarding(
    request: RequestHead, peer: str, proto: bytes, *, extend: bool, trusted: bool
) -> tuple[list[bytes], frozenset[bytes]]:
    """The lines of this hop, and the names they replace. ``extend`` keeps what a trusted peer said
    before; of one that is not trusted no X-Forwarded word at all goes on, whatever it is about
    (RFC 7239 section 8.1).
    """
    address = plain_address(peer).encode("ascii", "replace")
    host = request.authority or b"".join(request.values(b"host")[:1])
    chain = [address] if address else []
    before: list[bytes] = []
    protos, hosts = [proto], [host]
    if extend and trusted:
        chain = _said(request, b"x-forwarded-for") + chain
        before = _said(request, b"forwarded")
        protos = _said(request, b"x-forwarded-proto")[:1] or protos
        hosts = _said(request, b"x-forwarded-host")[:1] or hosts
    lines = [
        b"X-Forwarded-Proto: " + protos[0],
        b"Forwarded: " + b", ".join([*before, _element(address, proto, host)]),
    ]
    if chain:
        lines.insert(0, b"X-Forwarded-For: " + b", ".join(chain))
    if hosts[0]:
        lines.append(b"X-Forwarded-Host: " + hosts[0])
    if trusted:
        return lines, WRITTEN
    return lines, WRITTEN.union(name for name in request.names if name.startswith(_FAMILY))


def _said(request: RequestHead, name: bytes) -> list[bytes]:
    return [value for value in request.values(name) if value]


def _element(address: bytes, proto: bytes, host: bytes) -> bytes:
    """RFC 7239 sections 4 and 6: an IPv6 address is bracketed and quoted, a host is quoted for its
    colon, and a peer without an address is ``unknown``.
    """
    node = b'"[%b]"' % address if b":" in address else address or b"unknown"
    return b"for=%b;proto=%b" % (node, proto) + (b';host="%b"' % host if host else b"")
