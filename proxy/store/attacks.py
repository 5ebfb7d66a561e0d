"""Attacks on the database's own governance, as data: ``sql/attacks/*.sql`` read once, and run.

An attack is good news when it fails for the reason its author named. What it wrote is rolled back
whatever came of it. ``sql/attacks/reach.sql`` tells the format.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import asyncpg

from proxy.data_files import data_path
from proxy.store.statements import sql

NO_ROWS = "0 rows"
WENT_THROUGH = "nothing"
TIMEOUT_S = 10.0

_HEAD = re.compile(r"^-- attack: (?P<title>.+)$", re.MULTILINE)
_FIELD = re.compile(r"^-- (as|refused by|alone|beside):?[ ]*(.*)$", re.MULTILINE)
_FACT = re.compile(r"@(\w+)@")
_ROLE = re.compile(r"\bsh_(?=(owner|proxy|agent|viewer|admin|founder|lookup|login_proxy)\b|m_)")
_FUNCTION = re.compile(r'function "?(?:\w+"?\."?)?(\w+)"?\(')

_WHO = {
    "ExecWithCheckOptions": "policy",
    "check_enable_rls": "policy",
    "get_row_security_policies": "policy",
    "do_setval": "grant",
    "nextval_internal": "grant",
    "check_role": "role",
    "check_session_authorization": "role",
    "call_string_check_hook": "role",
    "set_config_with_handle": "setting",
    "set_config_option_ext": "setting",
    "set_config_option": "setting",
    "AlterSystemSetConfigFile": "setting",
}
"""The server's routine that spoke, as one word. The words of its messages follow the language of
the server, its routines do not. Any
other routine is ``server``."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One try by one role. ``refused_by`` holds every reason that is right."""

    title: str
    role: str
    text: str
    refused_by: tuple[str, ...]
    alone: bool = False
    beside: str = ""
    """What must stand in the database for it to make sense: `public.profiles`."""

    @property
    def login(self) -> str:
        """Whose login it uses: ``reader`` is the sidecar's, acting as a mere viewer."""
        return self.role.removesuffix("-login")

    @property
    def takes_role(self) -> bool:
        return not self.role.endswith("-login") and not self.alone


@cache
def attacks() -> tuple[Attack, ...]:
    """Every attack of every file, one for each role that tries it."""
    found: list[Attack] = []
    for file in sorted(data_path("sql", "attacks").glob("*.sql")):
        text = file.read_text("utf-8")
        heads = list(_HEAD.finditer(text))
        for head, following in zip(heads, [*heads[1:], None], strict=True):
            body = text[head.end() : following.start() if following else len(text)]
            found += _read(head["title"], body)
    return tuple(found)


def _read(title: str, body: str) -> list[Attack]:
    fields = {name: value.strip() for name, value in _FIELD.findall(body)}
    statement = _FIELD.sub("", body).strip().rstrip(";")
    reasons = tuple(part.strip() for part in fields["refused by"].split(","))
    return [
        Attack(title, role, statement, reasons, "alone" in fields, fields.get("beside", ""))
        for role in fields["as"].split()
    ]


def filled(attack: Attack, facts: Mapping[str, object], prefix: str) -> str:
    """The statement with the stage's facts in it and this installation's role names."""
    text = _ROLE.sub(f"{prefix}sh_", attack.text)
    return _FACT.sub(lambda found: str(facts[found[1]]), text)


async def attempt(conn: asyncpg.Connection, role: str | None, text: str, *, alone: bool) -> str:
    """What refused it: ``42501 grant``, ``23514 <constraint>``, ``0 rows``; ``nothing`` when it
    went through.
    """
    if alone:
        return await _outcome(conn, text)
    transaction = conn.transaction()
    await transaction.start()
    try:
        if role is not None:
            await conn.fetchrow(sql("session.act"), role, "{}")
        return await _outcome(conn, text)
    finally:
        await transaction.rollback()


async def _outcome(conn: asyncpg.Connection, text: str) -> str:
    try:
        told = await conn.execute(text, timeout=TIMEOUT_S)
    except asyncpg.PostgresError as error:
        return reason(error)
    return NO_ROWS if told.endswith(" 0") else WENT_THROUGH


def reason(error: asyncpg.PostgresError) -> str:
    """SQLSTATE and who said it: a constraint, one of our functions, or what the server calls it."""
    told = error.as_dict()
    state = str(told.get("sqlstate", "") or "")
    routine = str(told.get("server_source_function", "") or "")
    if constraint := told.get("constraint_name"):
        return f"{state} {constraint}"
    if routine == "exec_stmt_raise":
        inner = _FUNCTION.search(str(told.get("context", "") or ""))
        return f"{state} {inner[1] if inner else 'raised'}"
    if routine.startswith("aclcheck_error"):
        return f"{state} grant"
    return f"{state} {_WHO.get(routine, 'server')}"
