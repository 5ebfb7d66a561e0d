"""The child `up` starts once: migrate, then say where the sidecar's own login leads. Exits with
what it knew.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from proxy.app.install import install, show_founder
from proxy.config import load
from proxy.errors import SelfHealError
from proxy.locations import DataDir

SETTINGS = (
    "SELFHEAL_DATABASE__URL",
    "SELFHEAL_DATABASE__SCHEMA",
    "SELFHEAL_FOUNDER__AUTO_APPROVE_SANDBOX",
)


def main() -> int:
    """``python -m proxy.app.migrate DATA_DIR``; ``SETTINGS`` come in the environment."""
    data_dir = Path(sys.argv[1])
    try:
        given = {name: os.environ[name] for name in SETTINGS if name in os.environ}
        config = load(environ=given).config
        installed = asyncio.run(install(config, data_dir))
    except (SelfHealError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return getattr(error, "exit_code", 69)
    if installed.founder_token is not None:
        show_founder(installed.founder_token, DataDir(data_dir), embedded=not config.database.url)
    print(json.dumps({"proxy_dsn": installed.proxy_dsn}))  # noqa: T201 - the supervisor reads it
    return 0


if __name__ == "__main__":
    sys.exit(main())
