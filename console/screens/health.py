"""Screen 1: is it broken, where, since when, and what waits for you."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from console.columns import Column
from console.format import (
    Bit,
    Line,
    age,
    bars,
    count,
    cut,
    ms,
    percent,
    route_name,
    seconds,
    severity_bit,
)
from console.keys import Where
from console.screens.pane import Pane, waiting
from console.state import State, needs_you
from console.widgets.line_table import LineTable, Row
from console.widgets.painted import Sheet, bindings
from console.wording import item_text, watched_s
from proxy.contract.health import Health, RouteStats, TrafficMinute

FEW = 30
"""With fewer requests a rate says little, and says so."""

NEEDS = (
    Column("what", "", 7),
    Column("job", "job", 7, leaves=2),
    Column("mark", "sev", 6),
    Column("summary", "what for", 0),
    Column("risk", "risk", 8, leaves=1),
    Column("age", "age", 4, right=True),
)
ROUTES = (
    Column("route", "route", 0, middle=True),
    Column("n", "×5min", 7, leaves=2, right=True),
    Column("errors", "errors", 16),
    Column("p95", "p95", 8, right=True),
    Column("p99", "p99", 8, leaves=1, right=True),
    Column("jobs", "jobs", 9, leaves=3),
)


def score_lines(health: Health) -> list[Line]:
    """The score, and always why."""
    look = "ok" if health.status == "ok" else "bad" if health.status == "draining" else "high"
    shown = "no score yet" if health.score is None else f"{health.score} / 100"
    lines: list[Line] = [[(f"{shown}  ", "title"), (health.status.upper(), look)]]
    for index, term in enumerate(health.why[:4]):
        head = "why: " if index == 0 else "     "
        lines.append(
            [(head, "dim"), (f"{term.term} -{abs(term.points):g}", ""), (f"  {term.text}", "dim")]
        )
    if health.score is not None and not health.why:
        lines.append([("nothing cost points", "dim")])
    lines.append([(f"over the last {seconds(watched_s(health))}", "dim")])
    lines.extend(_parts(health))
    return lines


def _parts(health: Health) -> list[Line]:
    """What does not run as it should, in words; the rest is one quiet line."""
    lines: list[Line] = []
    for name, part in (
        ("upstream", health.upstream),
        ("storage", health.storage),
        ("capture", health.capture),
    ):
        word = str(part.get("state") or part.get("status") or "")
        if word and word not in ("up", "ok", "on", "connected", "ready"):
            lines.append([("✗ ", "bad"), (f"{name}: {word}", "")])
    return lines


def traffic_lines(health: Health, width: int) -> list[Line]:
    """One line per metric: number, course over the minutes, maximum."""
    minutes = health.traffic
    room = max(8, min(len(minutes) or 30, width - 36))
    rates = [minute.requests / 60 for minute in minutes]
    rate = _rate(health)
    # The running minute is not full yet: its share of 60 s would be below what is shown beside it.
    highest = max([*rates, rate or 0])
    rows: list[tuple[str, str, list[float | None], str]] = [
        ("req/s", f"{rate:.1f}" if rate is not None else "–", list(rates), f"max {highest:.0f}"),
        ("errors", _errors(health), [_share(m) for m in minutes], ""),
        ("p50", ms(_last(minutes, "p50_ms")), [m.p50_ms for m in minutes], ""),
        ("p95", ms(_last(minutes, "p95_ms")), [m.p95_ms for m in minutes], ""),
        ("p99", ms(_last(minutes, "p99_ms")), [m.p99_ms for m in minutes], ""),
    ]
    lines: list[Line] = []
    for name, value, course, more in rows:
        real = [v for v in course if v is not None]
        note = more or (f"max {_max_words(name, max(real))}" if real else "")
        bad = name == "errors" and health.errors > 0
        lines.append(
            [
                (f"{name:<7}", "dim"),
                (f"{value:>14}  ", "bad" if bad else ""),
                (bars(course, room), "high" if bad else ""),
                (f"  {note}", "dim"),
            ]
        )
    return lines


def _max_words(name: str, value: float) -> str:
    return percent(value) if name == "errors" else ms(value)


def _rate(health: Health) -> float | None:
    watched = watched_s(health)
    return health.requests / watched if watched >= 1 else None


def _errors(health: Health) -> str:
    if health.requests < FEW:
        return f"n={health.requests}, too few"
    return percent(health.errors / health.requests)


def _share(minute: TrafficMinute) -> float | None:
    return minute.errors / minute.requests if minute.requests else None


def _last(minutes: list[TrafficMinute], name: str) -> float | None:
    values = [getattr(minute, name) for minute in minutes[-5:]]
    return next((value for value in reversed(values) if value is not None), None)


def route_cells(route: RouteStats) -> dict[str, Bit]:
    bad = route.error_rate >= 0.01 and route.requests >= FEW
    errors = percent(route.error_rate) if route.requests >= FEW else f"n={route.requests}, too few"
    return {
        "route": (route_name(route.method, route.route), ""),
        "n": (count(route.requests), "dim"),
        "errors": (errors, "bad" if bad else ""),
        "p95": (ms(route.p95_ms), ""),
        "p99": (ms(route.p99_ms), ""),
        "jobs": (" ".join(route.jobs), "link"),
    }


def by_harm(routes: tuple[RouteStats, ...]) -> list[RouteStats]:
    """The routes that hurt most people first: failed requests, then slow ones."""
    return sorted(
        routes, key=lambda r: (-(r.error_rate * r.requests), -(r.p95_ms or 0) * r.requests)
    )


class HealthPane(Pane):
    where: ClassVar[Where] = "health"
    BINDINGS: ClassVar[list[BindingType]] = bindings("health")

    def compose(self) -> ComposeResult:
        with Horizontal(id="health-top"):
            yield Sheet(id="score")
            yield Sheet(id="traffic")
        yield LineTable(NEEDS, id="needs", head=False)
        yield LineTable(ROUTES, id="routes")

    def on_mount(self) -> None:
        self.query_one("#score", Sheet).set_title(" Score ")
        self.query_one("#score", Sheet).can_focus = False
        self.query_one("#traffic", Sheet).set_title(" Traffic, last 30 min ")
        self.query_one("#traffic", Sheet).can_focus = False
        self.query_one("#routes", LineTable).set_title(" Routes by harm ")

    def first_focus(self) -> Widget:
        return self.query_one("#needs", LineTable)

    def draw(self, state: State) -> None:
        score, traffic = self.query_one("#score", Sheet), self.query_one("#traffic", Sheet)
        if state.health is None:
            score.show(waiting(state, "health", ""))
            traffic.show([])
        else:
            score.show(score_lines(state.health))
            traffic.show(traffic_lines(state.health, traffic.room))
        self._draw_needs(state)
        self._draw_routes(state)

    def _draw_needs(self, state: State) -> None:
        now = self.console_app.clock.now()
        rows = []
        for word, job, item in needs_you(state):
            mark = severity_bit(job.severity) if job is not None else ("", "")
            rows.append(
                Row(
                    item.id,
                    {
                        "what": (word, "title"),
                        "job": (item.job_id or item.id, ""),
                        "mark": mark,
                        "summary": (f"{item.patch_id or item.item_type}  {item_text(item)}", ""),
                        "risk": (item.risk, "dim"),
                        "age": (age(item.created_at, now), "dim"),
                    },
                )
            )
        table = self.query_one("#needs", LineTable)
        table.set_title(f" Needs you ({len(rows)}) ")
        table.show(rows, waiting(state, "approvals", "nothing waits for you"))

    def _draw_routes(self, state: State) -> None:
        rows = [
            Row(f"{route.method} {route.route}", route_cells(route))
            for route in by_harm(state.routes)
        ]
        nothing = "no traffic yet: is the sidecar in the path?"
        self.query_one("#routes", LineTable).show(rows, waiting(state, "routes", nothing))

    @on(LineTable.Opened, "#needs")
    def _open_item(self, event: LineTable.Opened) -> None:
        event.stop()
        self.console_app.open_item(event.row)

    @on(LineTable.Opened, "#routes")
    def _open_route(self, event: LineTable.Opened) -> None:
        event.stop()
        self.console_app.find_jobs(cut(event.row.partition(" ")[2], 80))

    def turn(self, by: int) -> bool:
        """On a small screen the routes stand behind the tab."""
        if self.is_wide or self.app.size.height >= 34:
            return False
        self.toggle_class("-routes")
        shown = "#routes" if self.has_class("-routes") else "#needs"
        self.query_one(shown, LineTable).focus()
        return True

    def about(self) -> str:
        return "what's broken?"

    def copied(self) -> str:
        return self.query_one("#needs", LineTable).cursor or ""
