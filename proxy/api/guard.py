"""Who may even speak to this port: pure checks on a request's head, before anything is read or
looked up.

Host against DNS rebinding, Origin against other people's pages, content type and our own header
against cross-site forms. There is no CORS: a browser page has no business here unless its origin is
listed.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from proxy.api.problems import Refusal
from proxy.config import Config, parse_address
from proxy.contract.base import CHANGE_HEADER

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?$")


@dataclass(frozen=True, slots=True)
class Guard:
    """Allow-lists, lower case."""

    hosts: frozenset[str]
    origins: frozenset[str]

    @classmethod
    def of(cls, config: Config) -> "Guard":
        names = set(LOCAL_NAMES) | {_bare(host) for host in config.control.hosts}
        address = parse_address(config.listen.control)
        if isinstance(address, tuple) and not _is_any(address[0]):
            names.add(address[0].lower())
        return cls(frozenset(names), frozenset(o.lower() for o in config.control.origins))

    def check_host(self, host: str | None, own_address: str | None, *, probe: bool) -> None:
        """Refuse a name we do not answer to.

        The socket's own address is always ours: a rebinding page can only ever send a name. A probe
        without a Host (HTTP/1.0 load balancers) is no browser either.
        """
        if host is None:
            if probe:
                return
            raise Refusal(400, "host_missing", "send a Host header")
        match = _HOST.match(host)
        name = match[1].strip("[]").lower() if match is not None else ""
        if name not in self.hosts and (not name or name != own_address):
            raise Refusal(
                403, "host_refused", "this name is not on the allow-list; add it to control.hosts"
            )

    def check_origin(self, origins: Collection[str]) -> None:
        if any(origin.lower() not in self.origins for origin in origins):
            raise Refusal(
                403, "origin_refused", "this origin is not on the allow-list (control.origins)"
            )


def check_change(headers: Mapping[str, str], content_type: str) -> None:
    """A change is plain JSON and carries our own header: no cross-site form can send that."""
    if content_type != "application/json" or "Content-Type" not in headers:
        raise Refusal(415, "not_json", "a change is sent as Content-Type: application/json")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(415, "encoded", "send the body without Content-Encoding")
    if headers.get(CHANGE_HEADER) != "1":
        raise Refusal(403, "change_header_missing", f"a change carries {CHANGE_HEADER}: 1")


def _bare(host: str) -> str:
    match = _HOST.match(host)
    return (match[1] if match is not None else host).strip("[]").lower()


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
