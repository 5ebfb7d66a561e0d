"""Runs schemathesis against the real control API on a scratch installation: no 500, no status, type
or answer that is not documented. `make schemathesis`; it lives in an environment of its own, for
it brings other versions of what our tests pin.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.app.governance.api_way import serving
from proxy.app.governance.stage import open_stage
from proxy.store.scratch import scratch_installation
from tests.support.postgres import start_server, stop_server

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
LEFT_OUT = "/events|^/(livez|readyz|healthz|metrics)$"
"""A stream has no end, and the health paths answer 503 where no data port serves."""
EXAMPLES = 40
NOUNS = {"jobs": "job_", "patches": "patch_", "approvals": "ask_"}
RUN_S = 1500.0


def familiar(document: dict[str, Any], facts: Mapping[str, object]) -> dict[str, Any]:
    """The document with the ids and digests that stand in the database named beside what it allows:
    a program that guesses would see 404 and 409 alone.
    """
    for path, operations in document["paths"].items():
        ids = _known(facts, NOUNS.get(path.partition("/api/v1/")[2].partition("/")[0], "?"))
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "n" and ids:
                    parameter["schema"] = {"anyOf": [{"enum": ids}, parameter["schema"]]}
    digests = _known(facts, "digest_")
    for schema in document["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            if name == "digest" and field.get("type") == "string":
                schema["properties"][name] = {"anyOf": [{"enum": digests}, field]}
    return document


def _known(facts: Mapping[str, object], prefix: str) -> list[str]:
    return sorted({str(value) for name, value in facts.items() if name.startswith(prefix)})


async def examine(dsn: str, program: str) -> int:
    async with (
        scratch_installation(dsn, schema="selfheal") as scratch,
        open_stage(scratch) as stage,
        serving(stage) as (session, base),
    ):
        token = f"Authorization: Bearer {scratch.tokens['founder']}"
        name, _, value = token.partition(": ")
        with tempfile.NamedTemporaryFile("wb", suffix=".json") as file:
            async with session.get(f"{base}/openapi.json", headers={name: value}) as answer:
                document = familiar(await answer.json(), stage.facts)
            file.write(json.dumps(document).encode())
            file.flush()
            command = [
                program, "run", file.name, "--url", base,
                "-H", token, "-H", "X-Selfheal-Request: 1", "--checks", ",".join(CHECKS),
                "--max-examples", str(EXAMPLES), "--exclude-path-regex", LEFT_OUT,
            ]  # fmt: skip
            done = await asyncio.to_thread(subprocess.run, command, timeout=RUN_S, check=False)
    return done.returncode


def main() -> int:
    server, folder = start_server()
    try:
        return asyncio.run(examine(server.installer_dsn, str(Path(sys.argv[1]).absolute())))
    finally:
        stop_server(server, folder)


if __name__ == "__main__":
    sys.exit(main())
