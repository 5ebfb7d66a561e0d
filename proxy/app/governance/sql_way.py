"""Attacks with psql's means: every row of ``sql/attacks``, every verb on every governed table."""

import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg

from proxy.app.governance.report import Attempt
from proxy.app.governance.stage import Stage
from proxy.store.attacks import Attack, attacks, attempt, filled
from proxy.store.pool import connect
from proxy.store.statements import sql

EVERYBODY = ("founder", "admin", "agent", "viewer", "proxy", "removed", "stranger")
VERBS = {
    "truncate": "truncate {table} cascade",
    "delete from": "delete from {table}",
    "rewrite": "update {table} set {column} = {column}",
    "drop": "drop table {table} cascade",
}
MAY = frozenset(
    {
        ("proxy", "delete from", "self_healing_events"),
        ("proxy", "delete from", "self_healing_links"),
        ("proxy", "delete from", "adopted_inbox"),
        ("proxy", "delete from", "adopted_seen"),
        ("founder", "delete from", "self_healing_aliases"),
        ("admin", "delete from", "self_healing_aliases"),
        ("removed", "delete from", "self_healing_aliases"),
    }
)
"""Old samples, links and its work list are the sidecar's to forget, merges are people's to undo.
What a login without a profile then reaches is no row.
"""


async def attack_by_sql(stage: Stage, *, only: str = "") -> AsyncIterator[Attempt]:
    """All of them, or those of one title."""
    for attack in (*attacks(), *await _verbs(stage)):
        if attack.beside and not stage.scratch.app_profiles:
            continue
        if only in ("", attack.title):
            yield await _try(stage, attack)


async def _try(stage: Stage, attack: Attack) -> Attempt:
    conn = stage.logins[attack.login]
    acts_as = {"reader": "viewer", "removed": "admin"}.get(attack.role, attack.role)
    role = acts_as if attack.takes_role and attack.login != "stranger" else None
    facts = stage.facts | {"key": secrets.token_hex(16)}
    text = filled(attack, facts, stage.scratch.prefix)
    refused_by = await attempt(conn, role, text, alone=attack.alone)
    held = refused_by in attack.refused_by
    return Attempt(attack.role, "sql", attack.title, refused_by, held, attack.refused_by)


async def _verbs(stage: Stage) -> list[Attack]:
    installer = await connect(stage.scratch.installer_dsn, schema=stage.scratch.schema)
    try:
        tables = await installer.fetch(sql("governance.governed_tables"))
    finally:
        await installer.close(timeout=5)
    return [attack for table in tables for attack in _on(table)]


def _on(table: asyncpg.Record) -> Iterator[Attack]:
    for verb, form in VERBS.items():
        text = form.format(table=table["name"], column=table["a_column"])
        for role in EVERYBODY:
            if (role, verb, table["name"]) not in MAY:
                yield Attack(f"{verb} {table['name']}", role, text, ("42501 grant",))
