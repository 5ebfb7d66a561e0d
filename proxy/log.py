"""One event, one line, on standard error; text from outside is made visible before it gets here."""

import logging
import sys

from proxy.visible import visible

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _OneLine(logging.Formatter):
    """Escapes line ends, so that no logged value can forge a record (CWE-117)."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return visible(text).replace("\r", "\\r").replace("\n", "\\n")


def setup(level: str, process: str) -> None:
    """Log to standard error; ``process`` names who speaks: ``up``, ``worker-0``, ``control``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _OneLine(f"%(asctime)s %(levelname)-7s {process}: %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    logging.getLogger("asyncio").setLevel(logging.WARNING)
