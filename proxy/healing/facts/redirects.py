"""Redirect evidence in a recorded chain: a place that comes back, or more hops than any client
follows.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

HOPS_MAX = 20
"""What browsers and client libraries follow before they give up (20 in Chrome and Firefox, 30 in
requests).
"""
CHAIN_MAX = 64


def find_cycle(chain: Sequence[str]) -> tuple[str, ...]:
    """The hops from the first repeated place to its return, or all when the chain is too long;
    else ``()``.

    A place is the URL without fragment. Two visits are enough when the place between differs; the
    same place in a row needs two hops as well, because a form may lead back to itself once: three
    sights.
    """
    places = [_place(hop) for hop in chain[:CHAIN_MAX]]
    seen: dict[str, int] = {}
    for index, place in enumerate(places):
        first = seen.setdefault(place, index)
        if first == index:
            continue
        if index - first > 1 or places.count(place) > 2:
            return tuple(places[first : index + 1])
    if len(places) > HOPS_MAX:
        return tuple(places)
    return ()


def _place(hop: str) -> str:
    try:
        parts = urlsplit(hop.strip()[:2048])
    except ValueError:
        return hop[:2048]
    return parts._replace(fragment="").geturl()
