"""One line of the doctor's report."""

from typing import Literal, NamedTuple

State = Literal["ok", "reduced", "missing", "broken"]


class Finding(NamedTuple):
    """``reduced`` and ``missing`` leave the sidecar working with less; ``broken`` does not."""

    name: str
    state: State
    text: str
