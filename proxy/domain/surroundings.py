"""What stands in front of the sidecar and behind it, read from the headers that pass anyway.

Only exchanges whose heads are kept (failures, other 4xx, redirects) are looked at, so that a
request that succeeds pays nothing. A name comes with the header that gave it away; of a cookie
only its name is read.
"""

from dataclasses import dataclass, field
from typing import Any

from proxy.domain.exchange import Exchange, Headers
from proxy.domain.peers import Trust

NAMES_MAX = 12
WORD_CHARS_MAX = 80
EVERY_ONE_UNTIL = 64
THEN_EVERY = 64
"""A storm of failures says nothing new about who stands around."""

_Table = dict[str, str]

IN_FRONT: _Table = {
    "cf-ray": "Cloudflare",
    "x-amz-cf-id": "Amazon CloudFront",
    "x-amzn-trace-id": "an AWS load balancer",
    "x-azure-ref": "Azure Front Door",
    "x-cloud-trace-context": "a Google Cloud load balancer",
    "x-vercel-id": "Vercel",
    "fly-request-id": "Fly.io",
    "x-request-start": "a platform router",
    "akamai-origin-hop": "Akamai",
    "fastly-ff": "Fastly",
    "x-varnish": "Varnish",
    "x-envoy-expected-rq-timeout-ms": "Envoy",
    "ngrok-agent-ips": "ngrok",
    "x-traefik-router": "Traefik",
    "x-forwarded-server": "Traefik or Apache",
    "x-real-ip": "a reverse proxy",
    "x-forwarded-for": "a reverse proxy",
    "forwarded": "a reverse proxy",
    "via": "",
    "cdn-loop": "",
}
"""Request header → who writes it; "" where the value names it."""

BEHIND: _Table = {
    "server": "",
    "x-powered-by": "",
    "x-generator": "",
    "via": "",
    "x-aspnet-version": "ASP.NET",
    "x-runtime": "Ruby on Rails",
    "x-nextjs-cache": "Next.js",
    "x-sveltekit-page": "SvelteKit",
    "x-drupal-cache": "Drupal",
    "x-envoy-upstream-service-time": "Envoy",
    "x-hasura-request-id": "Hasura",
    "sb-gateway-version": "Supabase",
}
COOKIES: _Table = {
    "phpsessid": "PHP",
    "laravel_session": "Laravel",
    "jsessionid": "a Java servlet container",
    "connect.sid": "Express",
    "csrftoken": "Django",
    "asp.net_sessionid": "ASP.NET",
    ".aspnetcore.session": "ASP.NET Core",
    "next-auth.session-token": "NextAuth",
    "_csrf_token": "Symfony",
}


@dataclass(slots=True)
class Seen:
    """``front`` and ``behind``: name → the header it was read from."""

    front: dict[str, str] = field(default_factory=dict)
    behind: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    """How many were looked at."""
    traced: int = 0
    """Of these, how many carried a trace id of the app or the browser."""
    visitors: list[str] = field(default_factory=list)
    """Two different ones at most: more is not worth remembering, and no address leaves here."""
    stranger: str = ""
    """Says X-Forwarded-For and is not in ``downstream.trusted``, so it is taken for a visitor."""


class Surroundings:
    """One worker's witness. ``see`` never raises and keeps a bounded number of words."""

    def __init__(self) -> None:
        self.seen = Seen()
        self._offered = 0

    def see(self, exchange: Exchange, trusts: Trust) -> None:
        self._offered += 1
        capture, seen = exchange.capture, self.seen
        if capture is None or (self._offered > EVERY_ONE_UNTIL and self._offered % THEN_EVERY):
            return
        seen.requests += 1
        seen.traced += exchange.trace_id is not None
        asked = exchange.client
        if len(seen.visitors) < 2 and asked not in seen.visitors:
            seen.visitors.append(asked)
        _note(capture.request_headers, IN_FRONT, seen.front)
        _note(capture.response_headers, BEHIND, seen.behind)
        chain = _values(capture.request_headers, b"x-forwarded-for")
        # a trusted peer's word would have made a visitor of whom it names
        if chain and asked not in chain and not trusts(asked):
            seen.stranger = asked

    def facts(self) -> dict[str, Any]:
        """JSON-able; how many visitors, not who."""
        seen = self.seen
        return {
            "front": seen.front,
            "behind": seen.behind,
            "requests": seen.requests,
            "traced": seen.traced,
            "visitors": len(seen.visitors),
            "stranger": seen.stranger,
        }


def _values(headers: Headers, wanted: bytes) -> str:
    return ",".join(v.decode("latin-1") for name, v in headers if name.lower() == wanted)


def _note(headers: Headers, table: _Table, found: dict[str, str]) -> None:
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1").lower()
        if name == "set-cookie":
            cookie = raw_value.partition(b"=")[0].strip().decode("latin-1")
            who = COOKIES.get(cookie.lower().removeprefix("__secure-").removeprefix("__host-"))
        elif name in table:
            who = table[name] or raw_value.decode("latin-1").strip()[:WORD_CHARS_MAX]
        else:
            continue
        if who and len(found) < NAMES_MAX:
            found.setdefault(who, name)
