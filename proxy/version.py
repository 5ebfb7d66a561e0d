"""The one place that knows which version runs."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("selfheal-sidecar")
except PackageNotFoundError:
    VERSION = "0+checkout"
