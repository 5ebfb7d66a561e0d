"""The one place that knows which version and which build runs."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

try:
    VERSION = version("selfheal-sidecar")
except PackageNotFoundError:
    VERSION = "0+checkout"


def data_plane() -> Literal["compiled", "plain"]:
    """What a data worker of this installation loads for its hot path: a wheel may hold it
    compiled.
    """
    spec = find_spec("proxy.dataplane.hot")
    origin = spec.origin if spec is not None else None
    return "plain" if origin is None or origin.endswith(".py") else "compiled"
