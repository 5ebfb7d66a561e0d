"""The orchestrator: one phrase in, the right agent asked, one answer out, within a time budget.

Whatever an agent could not read becomes an honest sentence, never an empty list that looks healthy.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from proxy.agents.facts import Facts
from proxy.agents.intents import Intent, Understood, understand
from proxy.agents.phill import AIPhillAgent
from proxy.agents.reply import Reply
from proxy.agents.twin import CognitiveTwinAgent
from proxy.clock import Clock, SystemClock
from proxy.contract.ask import AskAnswer
from proxy.errors import Unavailable

ANSWER_TIMEOUT_S = 15.0
_PERIODS = {
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=30),
}


class OrchestratorRouter:
    """``ask(text)`` understands, dispatches and answers."""

    def __init__(
        self, facts: Facts, *, clock: Clock | None = None, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> None:
        self._phill = AIPhillAgent(facts)
        self._twin = CognitiveTwinAgent(facts)
        self._clock = clock or SystemClock()
        self._timeout_s = timeout_s
        self._agents: dict[Intent, Callable[[Understood], Awaitable[AskAnswer]]] = {
            Intent.DIAGNOSE: self._phill.diagnose,
            Intent.LIST_JOBS: self._phill.list_jobs,
            Intent.JOB_DETAILS: self._phill.job_details,
            Intent.HEALTH: self._phill.health,
            Intent.CLASSIFY: self._phill.classify,
            Intent.PROPOSE: self._phill.propose,
            Intent.EXPLAIN_PATCH: self._phill.explain_patch,
            Intent.NEXT: self._phill.what_next,
            Intent.GUIDE: self._phill.guide,
            Intent.UNKNOWN: self._phill.unknown,
        }

    async def ask(self, text: str) -> AskAnswer:
        """Answer one phrase from facts. A database that is away is said, not hidden."""
        asked = understand(text)
        try:
            async with asyncio.timeout(self._timeout_s):
                if asked.intent is Intent.DIGEST:
                    return await self._twin.digest(self._clock.now(), _period(text))
                return await self._agents[asked.intent](asked)
        except (Unavailable, TimeoutError):
            return _out_of_reach(asked)


def _period(text: str) -> timedelta:
    lowered = text.lower()
    return next((span for word, span in _PERIODS.items() if word in lowered), _PERIODS["weekly"])


def _out_of_reach(asked: Understood) -> AskAnswer:
    reply = Reply(asked.intent)
    reply.say("The database is out of reach, so I do not know. Traffic goes on; ask again soon.")
    reply.suggest("system health")
    return reply.answer()
