"""Where the files beside the code lie: ``sql/`` and ``config/``.

The wheel carries them as ``proxy/_data/sql`` and ``proxy/_data/config``; in a checkout they stand
beside the package. One function looks in the package first, so that an installed copy never reads a
stray checkout.
"""

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def data_path(kind: Literal["sql", "config"], *parts: str) -> Path:
    """The path of a data file or folder; it need not exist (the caller's own error names what is
    missing).
    """
    installed = _PACKAGE / "_data" / kind
    base = installed if installed.is_dir() else _PACKAGE.parent / kind
    return base.joinpath(*parts)
