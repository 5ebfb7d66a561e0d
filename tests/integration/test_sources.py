"""A running sidecar and what other programs tell it: rows by SQL, a founder who groups, rules that
change, and secrets that must not stay anywhere.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import asyncpg

from proxy.store.embedded import Cluster
from tests.support.sidecar import Sidecar, run_sidecar, until

OLDER = """
create table public.observability_logs (
  id uuid primary key default gen_random_uuid(), route_path text, method text, status_code int,
  latency_ms int, workspace_id uuid, user_id uuid, error_message text, error_stack text,
  created_at timestamptz default now(), their_own text default 'kept');
create schema reports;
create table reports.observability_anomalies (
  id uuid primary key default gen_random_uuid(), type text, severity text, route text,
  description text, metrics jsonb, resolved bool default false,
  detected_at timestamptz default now());
grant usage on schema public, reports to sh_proxy;
grant select on public.observability_logs, reports.observability_anomalies to sh_proxy;
"""
RULE = """
[[rule]]
id = "shop.oversold"
category = "API_SCHEMA"
text = ["stock level below zero"]
must = ["OversoldError: stock level below zero"]
"""


async def execute(sidecar: Sidecar, statement: str, *args: Any) -> None:
    """As another program with its own login to the same server."""
    conn = await asyncpg.connect(
        Cluster(sidecar.data_dir).installer_dsn(), server_settings={"search_path": "selfheal"}
    )
    try:
        await conn.execute(statement, *args)
    finally:
        await conn.close()


def job_that_says(sidecar: Sidecar, words: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        return next((j for j in sidecar.jobs() if words in json.dumps(j)), None)

    job: dict[str, Any] = until(look, what=f"a job that says {words}")
    return job


async def test_rows_rules_merge_and_split_on_a_running_sidecar(
    tmp_path: Path, upstream: str
) -> None:
    rules = tmp_path / "own.toml"
    with run_sidecar(tmp_path, upstream, "--set", f"healing.rules={rules}") as sidecar:
        sidecar.wait_for_database()
        await execute(sidecar, OLDER)
        await execute(
            sidecar,
            "insert into observability_logs (route_path, status_code, error_message)"
            " values ('/orders', 500, 'permission denied for table orders')",
        )
        await execute(
            sidecar,
            "insert into public.observability_logs (route_path, method, status_code, error_message)"
            " values ('/pay', 'POST', 500, 'connection to server refused: PGRST000')",
        )
        await execute(
            sidecar,
            "insert into reports.observability_anomalies (type, severity, route)"
            " values ('latency_spike', 'high', 'GET:/slow')",
        )
        policy = job_that_says(sidecar, "/orders")
        assert policy["category"] == "RLS_VIOLATION"
        assert job_that_says(sidecar, "/pay")["category"] == "DB_ERROR"
        slow = job_that_says(sidecar, "/slow")
        assert (slow["category"], slow["method"]) == ("PERFORMANCE", "GET")

        rules.write_text(RULE)
        until(lambda: sidecar.log().count("1 of them yours") >= 2, what="both to read the rule")
        report = {"message": "OversoldError: stock level below zero", "route": "/stock"}
        own = sidecar.api("/jobs", method="POST", payload=report).json()
        assert (own["category"], own["rule"]) == ("API_SCHEMA", "shop.oversold")

        sidecar.command("merge", own["id"], slow["id"], "--reason", "one cause")
        merged = job_that_says(sidecar, "shop.oversold")
        assert merged["occurrences"] == 2
        assert job_that_says(sidecar, "/slow")["status"] == "closed"
        sidecar.api("/jobs", method="POST", payload=report | {"route": "/refund"})
        shown = sidecar.command("show", own["id"], "--json").stdout
        event = json.loads(shown)["events"][0]["id"]
        made = sidecar.command("split", own["id"], "--event", event, "--json").stdout
        assert json.loads(made)["route"] == "/refund"
        refused = sidecar.command("merge", own["id"], own["id"], check=1)
        assert "one job already" in refused.stderr


# --- secrets ------------------------------------------------------------------------------------

SHAPES = (
    "sk_live_{0}", "ghp_{0}{0}", "AKIA{1}", "xoxb-{2}-{0}", "glpat-{0}", "npm_{0}{0}",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ{0}In0.{0}{0}", "AIza{0}{0}",
)  # fmt: skip


def shaped(number: int) -> str:
    """A secret with a shape that is known anywhere in a text; never the same one twice."""
    word = f"q7Zk{number:04d}Vw9Xb3Rt5Yp1Lm8N"[:24]
    template = SHAPES[number % len(SHAPES)]
    return template.format(word, word.upper()[:16].replace("Z", "Q"), "1234567890")


def named(number: int) -> str:
    """A secret that only its name gives away."""
    return f"plain{number:04d}hush{number * 7919:08d}"


class Planter:
    def __init__(self) -> None:
        self.planted: list[str] = []

    def secret(self, *, by_name: bool = False) -> str:
        number = len(self.planted)
        value = named(number) if by_name else shaped(number)
        self.planted.append(value)
        return value


def through_the_proxy(sidecar: Sidecar, plant: Planter) -> None:
    for n in range(18):
        query = f"token={plant.secret(by_name=True)}&q={plant.secret()}"
        headers = {
            "Authorization": f"Bearer {plant.secret(by_name=True)}",
            "Cookie": f"session={plant.secret(by_name=True)}",
            "X-Api-Key": plant.secret(),
        }
        sidecar.get(f"/fail/{n}?{query}", headers=headers)
        body = {"password": plant.secret(by_name=True), "note": f"key is {plant.secret()}"}
        sidecar.get(f"/fail/{n}", headers={"Content-Type": "application/json"},
                    method="GET", body=json.dumps(body).encode())  # fmt: skip


def through_an_sdk(sidecar: Sidecar, plant: Planter) -> None:
    for n in range(10):
        event = {
            "message": f"login failed: password={plant.secret(by_name=True)}",
            "level": "error",
            "request": {"url": f"http://a/x{n}?access_token={plant.secret()}"},
            "extra": {"secret": plant.secret()},
            "exception": {
                "values": [
                    {
                        "type": "ValueError",
                        "value": f"bad key {plant.secret()}",
                        "stacktrace": {"frames": [{"filename": f"a{n}.py", "function": "f",
                            "vars": {"k": plant.secret()}, "context_line": plant.secret()}]},
                    }
                ]
            },
        }  # fmt: skip
        item = json.dumps(event)
        wire = f'{{}}\n{{"type":"event"}}\n{item}\n'.encode()
        path = "/__selfheal/api/1/envelope/"
        assert sidecar.get(path, method="POST", body=wire).status == 200


def through_a_browser(sidecar: Sidecar, plant: Planter) -> None:
    for n in range(10):
        report = {
            "type": "csp-violation",
            "url": f"http://a/p{n}?api_key={plant.secret()}",
            "body": {
                "documentURL": f"http://a/p{n}?token={plant.secret(by_name=True)}",
                "blockedURL": f"http://evil/?k={plant.secret()}",
                "effectiveDirective": "script-src",
                "sample": plant.secret(),
            },
        }
        answer = sidecar.get(
            "/__selfheal/reports", method="POST", body=json.dumps([report]).encode()
        )
        assert answer.status == 204


def through_the_api(sidecar: Sidecar, plant: Planter) -> None:
    for n in range(10):
        report = {
            "message": f"failure {chr(97 + n)} with {plant.secret()}",
            "stack": f'File "/app/{n}.py", line 1\npassword = "{plant.secret(by_name=True)}"',
            "body": json.dumps({"api_key": plant.secret(by_name=True), "x": plant.secret()}),
        }
        assert sidecar.api("/jobs", method="POST", payload=report).status == 200


async def through_rows(sidecar: Sidecar, plant: Planter) -> None:
    """Into a table of another program: theirs keeps what they wrote, ours must not."""
    await execute(sidecar, OLDER)
    for n in range(10):
        await execute(
            sidecar,
            "insert into public.observability_logs (route_path, status_code, error_message,"
            " error_stack) values ($1, 500, $2, $3)",
            f"/row/{chr(97 + n)}?token={plant.secret(by_name=True)}",
            f"KeyError {chr(97 + n)}: {plant.secret()}",
            f"authorization: Bearer {plant.secret()}\n  at f (app/{n}.js:1:1)",
        )
    await execute(
        sidecar,
        "insert into reports.observability_anomalies (type, description) values ($1, $2)",
        "unusual_pattern",
        f"many logins with {plant.secret()}",
    )


async def everything_stored(sidecar: Sidecar) -> str:
    """Every row of every table of ours, as text."""
    conn = await asyncpg.connect(
        Cluster(sidecar.data_dir).installer_dsn(), server_settings={"search_path": "selfheal"}
    )
    try:
        tables = await conn.fetch(
            "select format('%I.%I', schemaname, tablename) as name from pg_tables"
            " where schemaname = 'selfheal'"
        )
        texts: list[str] = []
        for table in tables:
            rows = await conn.fetch(f"select to_jsonb(t)::text as row from {table['name']} t")
            texts.extend(row["row"] for row in rows)
            # bytes are hexadecimal in JSON
            texts.extend(
                bytes.fromhex(h).decode("latin-1") for row in rows for h in _hexes(row["row"])
            )
        return "\n".join(texts)
    finally:
        await conn.close()


def _hexes(text: str) -> list[str]:
    return [
        part.partition('"')[0]
        for part in text.split('"\\\\x')[1:]
        if len(part.partition('"')[0]) % 2 == 0
    ]


def every_file(sidecar: Sidecar) -> str:
    """What lies in the data directory, but for the database's own pages."""
    texts = [sidecar.log()]
    for folder, folders, files in os.walk(sidecar.data_dir):
        folders[:] = [name for name in folders if name != "postgres"]
        for name in files:
            path = Path(folder) / name
            if path.is_file():
                texts.append(path.read_bytes().decode("latin-1"))
    return "\n".join(texts)


SOURCES = {"proxy": 36, "sdk": 10, "report": 10, "api": 10, "adopted": 11}
"""How many failures each of the planting functions sends."""


async def arrived(sidecar: Sidecar, sources: int) -> None:
    """All of them counted, and every source among the kept samples."""
    conn = await asyncpg.connect(
        Cluster(sidecar.data_dir).installer_dsn(), server_settings={"search_path": "selfheal"}
    )
    try:
        async with asyncio.timeout(60):
            while True:
                counted = await conn.fetchval("select sum(occurrences) from self_healing_jobs")
                seen = await conn.fetch(
                    "select distinct failure ->> 'origin' from self_healing_events"
                )
                if (counted or 0) >= sum(SOURCES.values()) and len(seen) == sources:
                    return
                await asyncio.sleep(0.2)
    finally:
        await conn.close()


async def test_two_hundred_planted_secrets_are_found_nowhere(tmp_path: Path, upstream: str) -> None:
    plant = Planter()
    with run_sidecar(
        tmp_path, upstream, "--set", "metrics.flush_s=1", "--set", "log.level=debug"
    ) as sidecar:
        sidecar.wait_for_database()
        through_the_proxy(sidecar, plant)
        through_an_sdk(sidecar, plant)
        through_a_browser(sidecar, plant)
        through_the_api(sidecar, plant)
        await through_rows(sidecar, plant)
        assert len(plant.planted) >= 200

        await arrived(sidecar, len(SOURCES))
        stored = await everything_stored(sidecar)
        seen = {"tables": stored, "files": every_file(sidecar)}
        sidecar.stop()
        seen["files at the end"] = every_file(sidecar)
    assert "KeyError" in stored
    leaks = [(where, s) for where, text in seen.items() for s in plant.planted if s in text]
    assert leaks == []
