"""Token → actor, by the member's own database login. The database says who this is; nothing is kept
in clear.

A check costs a password hash (13 ms), so at most four run at once, the same token is checked once
at a time, and failures are counted. A success is remembered for reading only, under a keyed hash;
deeds always go over the member's own connection, opened by ``member``. With the database away what
is remembered stays readable.
"""

import asyncio
import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from proxy.api.problems import Refusal
from proxy.clock import Clock
from proxy.domain.approval import Actor
from proxy.errors import NotPermitted, Unavailable
from proxy.tasks import spawn

CHECKS_AT_ONCE = 4
CHECKS_WAITING_MAX = 64
REMEMBER_S = 60.0
REMEMBER_AWAY_S = 900.0
"""How long a success stays good for reading while the database cannot be asked again."""
REMEMBERED_MAX = 512
FAILURES_MAX = 10
FAILURE_WINDOW_S = 60.0
FAILURE_KEYS_MAX = 1024

_TOKEN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]{0,62}):([\x21-\x7e]{1,256})$")

Authenticate = Callable[[str, str, str], Awaitable[Actor | None]]
Connect = Callable[[str, str, str], Awaitable[asyncpg.Connection]]


@dataclass(frozen=True, slots=True)
class Credential:
    """A token taken apart. ``repr`` never shows the secret."""

    name: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential({self.name!r}, …)"


@dataclass(slots=True)
class _Known:
    actor: Actor
    at: float


def read_bearer(header: str | None) -> Credential:
    """``Authorization: Bearer name:secret`` (RFC 6750) → its two parts; 401 without or with
    anything else.
    """
    scheme, _, token = (header or "").partition(" ")
    match = _TOKEN.match(token.strip()) if scheme.lower() == "bearer" else None
    if match is None:
        raise _who("send Authorization: Bearer name:secret; `selfheal member add` makes a token")
    return Credential(match[1], match[2])


class Failures:
    """Failed tries per key in a window; a key over the bound is refused until the window has
    passed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check(self, key: str) -> None:
        began, count = self._counts.get(key, (0.0, 0))
        left = began + FAILURE_WINDOW_S - self._clock.monotonic()
        if count >= FAILURES_MAX and left > 0:
            raise Refusal(
                429,
                "too_many_failures",
                "too many wrong tokens; wait and try again",
                {"Retry-After": str(int(left) + 1)},
            )

    def add(self, key: str) -> None:
        now = self._clock.monotonic()
        began, count = self._counts.pop(key, (now, 0))
        if now - began >= FAILURE_WINDOW_S:
            began, count = now, 0
        self._counts[key] = (began, count + 1)
        while len(self._counts) > FAILURE_KEYS_MAX:
            self._counts.popitem(last=False)


class Authenticator:
    """``identify`` for reading, ``member`` for deeds. One per control process."""

    def __init__(
        self,
        member_dsn: Callable[[], str | None],
        authenticate: Authenticate,
        connect: Connect,
        clock: Clock,
    ) -> None:
        self._dsn = member_dsn
        self._authenticate = authenticate
        self._connect = connect
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[Actor | Unavailable | Refusal | None]] = {}
        self._slots = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._waiting = 0
        self._failures = Failures(clock)

    async def identify(self, credential: Credential, peer: str) -> Actor:
        """Who may read. 401: wrong token; 429: too many of them; 503: nobody can tell now."""
        digest = self._digest(credential)
        now = self._clock.monotonic()
        known = self._known.get(digest)
        if known is not None and now - known.at < REMEMBER_S:
            return known.actor
        self._failures.check(_key(credential, peer))
        try:
            actor = await self._check(digest, credential)
        except Unavailable:
            if known is not None and now - known.at < REMEMBER_AWAY_S:
                return known.actor
            raise
        if actor is None:
            self._known.pop(digest, None)
            self._failures.add(_key(credential, peer))
            raise _who("this token is not known here")
        self._remember(digest, actor)
        return actor

    @asynccontextmanager
    async def member(
        self, credential: Credential, peer: str
    ) -> AsyncIterator[tuple[asyncpg.Connection, Actor]]:
        """The member's own connection for one deed, and the role its profile gives at this moment.

        Nothing remembered counts here: a profile that was taken away is 401 at once.
        """
        digest, key = self._digest(credential), _key(credential, peer)
        self._failures.check(key)
        dsn = self._require_dsn()
        async with self._slot():
            try:
                actor = await self._authenticate(dsn, credential.name, credential.secret)
                if actor is None:
                    raise NotPermitted("no such member")
                conn = await self._connect(dsn, credential.name, credential.secret)
            except NotPermitted:
                self._known.pop(digest, None)
                self._failures.add(key)
                raise _who("this token is not known here") from None
        self._remember(digest, actor)
        try:
            yield conn, actor
        finally:
            await _close(conn)

    def forget(self) -> None:
        """Nobody is remembered any more."""
        self._known.clear()

    async def _check(self, digest: bytes, credential: Credential) -> Actor | None:
        task = self._running.get(digest)
        if task is None:
            task = spawn(self._ask(credential), name="check-token")
            self._running[digest] = task
            task.add_done_callback(lambda _: self._running.pop(digest, None))
        # a reader that leaves must not fail the others waiting for the same answer
        found = await asyncio.shield(task)
        if isinstance(found, Exception):
            raise found
        return found

    async def _ask(self, credential: Credential) -> Actor | Unavailable | Refusal | None:
        """An expected refusal is a value here: a failing task would be logged as a fault."""
        try:
            dsn = self._require_dsn()
            async with self._slot():
                return await self._authenticate(dsn, credential.name, credential.secret)
        except (Unavailable, Refusal) as error:
            return error

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._waiting >= CHECKS_WAITING_MAX:
            raise Refusal(
                429, "too_many_checks", "too many tokens are being checked", {"Retry-After": "1"}
            )
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    def _require_dsn(self) -> str:
        dsn = self._dsn()
        if dsn is None:
            raise Unavailable(
                "the database is out of reach, so nobody can be recognised; try again"
            )
        return dsn

    def _digest(self, credential: Credential) -> bytes:
        text = f"{credential.name}:{credential.secret}".encode()
        return hashlib.blake2b(text, key=self._key, digest_size=32).digest()

    def _remember(self, digest: bytes, actor: Actor) -> None:
        self._known.pop(digest, None)
        self._known[digest] = _Known(actor, self._clock.monotonic())
        while len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)


def _key(credential: Credential, peer: str) -> str:
    return f"{peer}|{credential.name}"


def _who(detail: str) -> Refusal:
    return Refusal(401, "unauthorised", detail, {"WWW-Authenticate": 'Bearer realm="selfheal"'})


async def _close(conn: asyncpg.Connection) -> None:
    try:
        await conn.close(timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        conn.terminate()
