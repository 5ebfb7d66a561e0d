"""Jobs and patches in the command palette: from what is loaded already, never from the network."""

from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from console.format import cut, route_name

if TYPE_CHECKING:
    from console.app import ConsoleApp

HITS_MAX = 20


class FactsProvider(Provider):
    """``J-2`` or a word of its route opens the job."""

    @property
    def _console(self) -> "ConsoleApp":
        return cast("ConsoleApp", self.app)

    async def discover(self) -> Hits:
        for job in self._console.state.jobs[:5]:
            name = Content(cut(f"{job.id} {route_name(job.method, job.route)}", 60))
            yield DiscoveryHit(name, lambda j=job.id: self._console.review_job(j))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        found = 0
        for job in self._console.state.jobs:
            name = f"{job.id} {route_name(job.method, job.route)} {job.signature_text}"
            score = matcher.match(name)
            if score > 0 and found < HITS_MAX:
                found += 1
                shown = Content(cut(name, 70))
                yield Hit(score, shown, lambda j=job.id: self._console.review_job(j), text=job.id)
