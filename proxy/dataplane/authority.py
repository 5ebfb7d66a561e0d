"""``host[:port]`` as a Host field or an absolute target carries it (RFC 3986 section 3.2.2)."""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

_AUTHORITY = re.compile(
    rb"(?:\[(?:(?P<six>[0-9A-Fa-f:.]{2,45})|v[0-9A-Fa-f]{1,8}\.[A-Za-z0-9._~!$&'()*+,;=:-]{1,64})\]"
    rb"|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::(?P<port>[0-9]{0,5}))?\Z"
)
_PORT_MAX = 65535


_REMEMBERED_BYTES_MAX = 256
"""Longer ones are checked each time: no name of the DNS is."""


def is_authority(value: bytes) -> bool:
    """True for a host that is not empty, without userinfo, with at most one port that exists."""
    return _remembered(value) if len(value) <= _REMEMBERED_BYTES_MAX else _check(value)


def _check(value: bytes) -> bool:
    match = _AUTHORITY.match(value)
    if match is None or (match["port"] and int(match["port"]) > _PORT_MAX):
        return False
    return match["six"] is None or _is_ipv6(match["six"])


_remembered = lru_cache(maxsize=256)(_check)


def _is_ipv6(text: bytes) -> bool:
    try:
        IPv6Address(text.decode())
    except AddressValueError:
        return False
    return True
