"""How much of a long campaign runs: a sample in `make test`, the whole in `make shows`."""

import os
import resource

IS_WHOLE = os.environ.get("SELFHEAL_CAMPAIGN") == "full"
SEED = 20261123
TIMEOUT_S = 1800 if IS_WHOLE else 120


def amount(sample: int, whole: int) -> int:
    return whole if IS_WHOLE else sample


def allow_descriptors(count: int) -> None:
    """Let this process, and those it starts, hold ``count`` descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
