"""Can this machine carry the data plane? Asked before a port is bound.

The C parser is what makes framing strict and uvloop what makes it quick. A slower stand-in would
start without a word and be the weak place from then on, so there is none: we say what to install.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import sys

_PARTS = {
    "uvloop": "the event loop of the data plane",
    "httptools": "the C parser of the data plane",
}
_LATER = {
    "aiohttp": "the server of the control API and the ingest",
    "asyncpg": "the driver of the database",
    "brotli": "what reads compressed reports",
    "cryptography": "what checks signatures",
    "pydantic": "what checks the control API's messages",
}
"""Imported after the first byte, when it is too late to refuse: looked for, not loaded."""
_AIOHTTP_PARSER = "aiohttp._http_parser"
_AIOHTTP_SWITCH = "AIOHTTP_NO_EXTENSIONS"


def unfit() -> str | None:
    """One sentence with the fix, or None. Loads the small parts for real: a file that is there may
    still be one for another platform.
    """
    for name, role in _PARTS.items():
        try:
            importlib.import_module(name)
        except ImportError as error:
            return _sentence(name, role, error)
    for name, role in _LATER.items():
        if importlib.util.find_spec(name) is None:
            return _sentence(name, role, ImportError("it is not installed"))
    return _unfit_aiohttp()


def _unfit_aiohttp() -> str | None:
    """aiohttp falls back to a lenient parser in Python; looked at without its heavy import."""
    role = "the C parser of the control API and the ingest"
    if os.environ.get(_AIOHTTP_SWITCH):
        return f"{_AIOHTTP_SWITCH} is set and switches off {role}; unset it"
    package = importlib.util.find_spec("aiohttp")
    where = package.submodule_search_locations if package is not None else None
    if not where or importlib.machinery.PathFinder.find_spec(_AIOHTTP_PARSER, where) is None:
        return _sentence("aiohttp", role, ImportError(f"no {_AIOHTTP_PARSER}"))
    return None


def _sentence(name: str, role: str, error: ImportError) -> str:
    return (
        f"{name}, {role}, cannot be used here ({' '.join(str(error).split())}); run:"
        f" {sys.executable} -m pip install --force-reinstall {name}"
        " (Linux on x86-64 or arm64, macOS, Python 3.11 or newer)"
    )
