"""The plain answers of one method and route that wait to be counted together."""

from typing import Any

from proxy.observability.series import Series


class Share:
    """``rows`` are ``Plain`` answers in the order in which they ended; ``series`` watches them."""

    __slots__ = ("method", "route", "rows", "series")

    def __init__(self, method: str, route: str, series: Series) -> None:
        self.method = method
        self.route = route
        self.series = series
        # Any: an answer is not taken apart and built anew for the few of its values that are read
        self.rows: list[Any] = []
