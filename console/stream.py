"""The live events: connect, listen, notice silence, come back. Reports news to one callable and
keeps no state of the world; what the news mean for the screen is ``state.py``.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import assert_never

import aiohttp
from pydantic import ValidationError

from console.carrying import CONNECT_TIMEOUT_S
from console.client import problem_to_error, seen
from console.news import Alive, Lost, News, Opened, Received, Refused
from console.pooled import PooledClient
from console.sse import Beat, BrokenStream, Message, Parser
from proxy.contract.base import API_PREFIX, HEARTBEAT_S
from proxy.contract.events import Event
from proxy.errors import NotPermitted, SelfHealError
from proxy.visible import visible

SILENCE_S = 3 * HEARTBEAT_S
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 15.0
PROBLEM_BYTES_MAX = 65536


def backoff_s(attempt: int, chance: float) -> float:
    """0.5 s doubling to 15 s, of which ``chance`` (0-1) keeps between half and all."""
    whole = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * float(2 ** min(attempt, 10)))
    return whole * (0.5 + 0.5 * chance)


class EventStream:
    """``await stream.run()`` listens until it is cancelled or the token is refused."""

    def __init__(
        self,
        client: PooledClient,
        tell: Callable[[News], None],
        *,
        silence_s: float = SILENCE_S,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._client = client
        self._tell = tell
        self._silence_s = silence_s
        self._chance = chance
        self._sleep = sleep or self._nap
        self._wake = asyncio.Event()
        self._attempt = 0
        self._opened_before = False
        self.last_id = ""

    def retry_now(self) -> None:
        """End the current wait for a reconnect."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            reason = "the stream ended"
            try:
                await self._listen()
            except NotPermitted as error:
                self._tell(Refused(str(error)))
                return
            except SelfHealError as error:
                reason = str(error)
            except TimeoutError:
                reason = f"silent for {self._silence_s:g} s"
            except (aiohttp.ClientError, BrokenStream, OSError) as error:
                reason = visible(str(error) or type(error).__name__)
            pause = backoff_s(self._attempt, self._chance())
            self._attempt += 1
            self._tell(Lost(reason, pause))
            await self._sleep(pause)

    async def _nap(self, seconds: float) -> None:
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return

    async def _listen(self) -> None:
        headers = {"Accept": "text/event-stream"}
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        timeout = aiohttp.ClientTimeout(
            total=None, connect=CONNECT_TIMEOUT_S, sock_read=self._silence_s
        )
        async with self._client.session.get(
            f"{self._client.url}{API_PREFIX}/events",
            headers=self._client.headers | headers,
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            if response.status != 200:
                raise await _refusal(response)
            # Without an id to resume from, whatever happened while we were away is lost to us.
            self._tell(Opened(gap=self._opened_before and not self.last_id))
            self._opened_before = True
            self._attempt = 0
            parser = Parser(self.last_id)
            async for chunk in response.content.iter_any():
                for item in parser.feed(chunk):
                    self._take(item)

    def _take(self, item: Message | Beat) -> None:
        match item:
            case Beat():
                self._tell(Alive())
            case Message():
                self.last_id = item.id
                self._tell(_event(item))
            case _:
                assert_never(item)


def _event(message: Message) -> News:
    """An event this console does not know is still a sign of life."""
    try:
        return Received(Event.model_validate(seen(json.loads(message.data))))
    except (ValueError, ValidationError, RecursionError):
        return Alive()


async def _refusal(response: aiohttp.ClientResponse) -> SelfHealError:
    raw = await response.content.read(PROBLEM_BYTES_MAX)
    try:
        problem = json.loads(raw)
    except (ValueError, RecursionError):
        problem = {}
    return problem_to_error(response.status, problem if isinstance(problem, dict) else {})
