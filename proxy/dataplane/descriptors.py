"""How many connections a process has descriptors for. Knows nothing of HTTP.

A client's connection may need a second descriptor, to the app. If newcomers could take them all,
those already here would get no answer any more.
"""

import contextlib
import resource

_OWN = 32
"""Log, loop, listeners, the line to the supervisor, the database pool, a spool file."""
_KEPT_PART = 8
"""One in so many of the rest is never given to newcomers: clients who idle may ask again."""
_MOST = 1 << 20
"""Asked for where the hard limit is "unlimited", which no kernel grants."""


def room_for_traffic() -> int:
    """Raise the soft limit of this process as far as it may, and say at how many connections, both
    sides counted, no further client is taken.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    limit = _MOST if soft == resource.RLIM_INFINITY else soft
    return share(limit)


def share(limit: int) -> int:
    """Of ``limit`` descriptors, those that traffic may hold before clients are turned away."""
    left = limit - _OWN
    return max(1, left - left // _KEPT_PART)
