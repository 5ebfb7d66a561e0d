"""Who asked, over what, for which host: X-Forwarded-* and Forwarded (RFC 7239), when a setting asks
for them.
"""

from proxy.dataplane.request_head import RequestHead
from proxy.domain.peers import plain_address

WRITTEN = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"})
_FAMILY = b"x-forwarded-"


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
