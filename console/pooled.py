"""The console's connections: a pool that outlives a call, and the event stream beside it. Loads
aiohttp, which no short command does.
"""

import aiohttp

from console.carrying import (
    ANSWER_BYTES_MAX,
    CONNECT_TIMEOUT_S,
    Call,
    TooLong,
    Unanswered,
    Unreached,
)
from console.client import CALL_TIMEOUT_S, Client


class Pool:
    """A ``Carrier``. Follows no redirects and no proxies."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Made on first use, because it belongs to the running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def carry(self, call: Call) -> tuple[int, bytes]:
        try:
            async with self.session.request(
                call.method,
                call.url,
                data=call.body or None,
                headers=call.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=call.timeout_s, connect=CONNECT_TIMEOUT_S),
            ) as response:
                return response.status, await _read_bounded(response)
        except aiohttp.ClientConnectorError as error:
            raise Unreached(str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unanswered(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class PooledClient(Client):
    """A ``Client`` with the pool its event stream needs, too."""

    def __init__(self, url: str, token: str) -> None:
        self._pool = Pool()
        super().__init__(url, token, self._pool)

    @property
    def session(self) -> aiohttp.ClientSession:
        return self._pool.session


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > ANSWER_BYTES_MAX:
            raise TooLong
        parts.append(chunk)
    return b"".join(parts)
