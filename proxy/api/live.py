"""What the API needs to know of the running proxy, as a Protocol: the composition root implements
it.

Nothing here waits: health checks are answered from memory, with or without a database.
"""

from typing import Protocol

from proxy.contract.health import Health, RouteStats


class LiveView(Protocol):
    @property
    def accepting(self) -> bool:
        """The data port accepts connections."""
        ...

    @property
    def draining(self) -> bool:
        """The sidecar is on its way out; no new traffic, please."""
        ...

    @property
    def upstream_refused(self) -> bool:
        """The last tries to reach the app were refused."""
        ...

    def health(self) -> Health:
        """Score and its terms, merged over all workers. ``open_jobs`` may be empty: the API adds
        it.
        """
        ...

    def routes(self) -> list[RouteStats]:
        """Every route of the window; ``jobs`` may be empty: the API adds them."""
        ...

    def prometheus(self) -> str:
        """The exposition text, version 0.0.4."""
        ...
