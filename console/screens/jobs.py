"""Screen 2: the jobs, and what is known about the one under the cursor."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input, Static

from console.columns import Column
from console.filters import JobFilter, parse_job_filter
from console.format import (
    STATUS_SAYS,
    STATUS_SHORT,
    Bit,
    Line,
    age,
    ago,
    count,
    cut,
    route_name,
    severity_bit,
    short_count,
    stamp,
)
from console.keys import Where
from console.screens.pane import Pane, waiting
from console.state import SORTS, State, shown_jobs, waiting_rows
from console.widgets.line_table import LineTable, Row
from console.widgets.painted import Sheet, bindings
from console.wording import (
    because,
    bug_text,
    incident_text,
    over_text,
    reach_text,
    step_text,
    traffic_text,
)
from proxy.clock import Clock
from proxy.contract.jobs import FailureEvent, JobDetail, JobView

COLUMNS = (
    Column("id", "id", 7, leaves=1),
    Column("sev", "sev", 5),
    Column("category", "category", 14, leaves=3),
    Column("route", "route", 0, middle=True),
    Column("n", "×n", 5, right=True),
    Column("last", "last", 4, right=True),
    Column("state", "state", 6, leaves=2),
)
SAMPLES = 3
HISTORY = 12


def job_cells(job: JobView, clock: Clock, *, marked: bool = False) -> dict[str, Bit]:
    state = STATUS_SHORT.get(job.status, job.status)
    if job.status == "open" and job.incident_over_since is not None:
        state = "over"
    return {
        "id": ("◆" + job.id, "link") if marked else (job.id, ""),
        "sev": severity_bit(job.severity),
        "category": (job.category.lower().replace("_", " "), ""),
        "route": (route_name(job.method, job.route), ""),
        "n": (short_count(job.occurrences), ""),
        "last": (age(job.last_seen, clock.now()), "dim"),
        "state": (("↻" if job.regression else "") + state, "high" if job.regression else ""),
    }


def job_lines(job: JobView, detail: JobDetail | None, clock: Clock) -> list[Line]:
    """Everything worth knowing before opening a patch."""
    mark, look = severity_bit(job.severity)
    times = f"{count(job.occurrences)}× since {stamp(job.first_seen)}"
    lines: list[Line] = [
        [(mark + "  ", look), (f"{job.category}  ", ""), (STATUS_SAYS.get(job.status, ""), "dim")],
        [(times, ""), (f", last {ago(job.last_seen, clock.now())}", "")],
        *([[(reach, "dim")]] if (reach := reach_text(job)) else []),
        [(bug_text(job), "title")],
        [],
        [("rule ", "dim"), (job.rule, ""), (because(job), "dim")],
        *([("· " + fact, "")] for fact in job.evidence[:8]),
    ]
    if job.regression:
        lines.append([("↻ it came back after a fix", "high")])
    if over := over_text(job, clock.now()):
        lines += [[], [(over, "ok")]]
    if job.snoozed_until is not None:
        lines.append([(f"snoozed until {stamp(job.snoozed_until)} UTC", "high")])
    if job.summary:
        lines += [[], [("summary (AI) ", "dim"), (job.summary, "")]]
    lines += [[(f"· {action}", "")] for action in job.recommended_actions[:5]]
    return lines + (_detail_lines(detail) if detail is not None else [])


def _detail_lines(detail: JobDetail) -> list[Line]:
    lines: list[Line] = [[]]
    for incident in detail.anomalies[:SAMPLES]:
        lines.append([(incident_text(incident), "dim" if incident.resolved else "high")])
    if detail.anomalies and detail.patches:
        lines.append([])
    for patch in detail.patches:
        lines.append(
            [(f"{patch.id}  ", "link"), (f"{patch.status}  ", ""), (patch.description, "dim")]
        )
    for index, event in enumerate(detail.events[:SAMPLES], 1):
        total = len(detail.events)
        lines += [[], [(f"── sample {index} of {total}, redacted ──", "dim")], *_sample(event)]
    if detail.history:
        lines += [[], [("── history ──", "dim")]]
    for entry in detail.history[:HISTORY]:
        lines.append(
            [
                (f"{stamp(entry.at)}  ", "dim"),
                (f"{entry.actor}  {entry.action}  {entry.subject}", ""),
                (f"  {step_text(entry)}", "dim"),
            ]
        )
    return lines


def _sample(event: FailureEvent) -> list[Line]:
    request = event.request or {}
    target = f"{request.get('method', '')} {request.get('target') or request.get('path') or ''}"
    lines: list[Line] = [
        [(f"{target.strip()}  ", ""), (str(event.status or ""), "bad")],
        [(event.message, "")],
    ]
    if event.trace_id:
        lines.append([("trace ", "dim"), (event.trace_id, "")])
    stack = (event.stack or "").split("\n")
    return lines + [[("  " + text, "dim")] for text in stack[:12] if text.strip()]


class JobsPane(Pane):
    where: ClassVar[Where] = "jobs"
    BINDINGS: ClassVar[list[BindingType]] = bindings("jobs")

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.chosen = JobFilter()
        self.marked: str | None = None
        """The job that would be merged into another."""

    def compose(self) -> ComposeResult:
        yield Static(id="jobs-chip", classes="chip", markup=False)
        yield Input(
            id="jobs-filter", placeholder="status:all sev>=high cat:DB_ERROR text", classes="filter"
        )
        with Horizontal(classes="beside"):
            yield LineTable(COLUMNS, id="jobs-table")
            yield Sheet(id="jobs-detail")
        yield Static(id="jobs-line", classes="below", markup=False)

    def first_focus(self) -> Widget:
        return self.query_one("#jobs-table", LineTable)

    @property
    def job_id(self) -> str | None:
        return self.query_one("#jobs-table", LineTable).cursor

    def draw(self, state: State) -> None:
        jobs = shown_jobs(state, self.chosen)
        clock = self.console_app.clock
        table = self.query_one("#jobs-table", LineTable)
        rows = [Row(job.id, job_cells(job, clock, marked=job.id == self.marked)) for job in jobs]
        table.show(rows, self._empty(state))
        self.query_one("#jobs-chip", Static).update(self._chip(state, len(jobs)))
        job = next((job for job in jobs if job.id == table.cursor), None)
        self.query_one("#jobs-line", Static).update(
            cut(f" {job.id} {bug_text(job)}", self.size.width) if job else ""
        )
        sheet = self.query_one("#jobs-detail", Sheet)
        if job is None:
            sheet.set_title("")
            sheet.show([[("move the cursor to a job", "dim")]] if jobs else [])
        else:
            sheet.set_title(f" {job.id} {cut(route_name(job.method, job.route), 40)} ")
            sheet.show(job_lines(job, state.details.get(job.id), clock))

    def _empty(self, state: State) -> list[Line]:
        nothing = f"no open job; {traffic_text(state.health)}"
        if self.chosen.text:
            nothing = f"0 of {count(state.all_jobs)} match; esc clears the filter"
        return waiting(state, "jobs", nothing)

    def _chip(self, state: State, shown: int) -> str:
        arrow = "▼" if state.descending else "▲"
        chip = f" / {self.chosen.text or 'open jobs'} ▏{count(shown)} of {count(state.all_jobs)}"
        new = waiting_rows(state)
        news = f"   ▲ {new} new (r)" if new else ""
        held = "   paused" if self.console_app.paused else ""
        marked = f"   marked {self.marked}" if self.marked else ""
        return cut(
            f"{chip}   sort: {state.sort} {arrow}{marked}{news}{held}", max(self.size.width, 10)
        )

    # --- keys ---------------------------------------------------------------------------------

    def action_filter(self) -> None:
        box = self.query_one("#jobs-filter", Input)
        box.display = True
        box.focus()

    @on(Input.Changed, "#jobs-filter")
    def _typed(self, event: Input.Changed) -> None:
        self.chosen = parse_job_filter(event.value)
        self.draw(self.console_app.state)

    @on(Input.Submitted, "#jobs-filter")
    def _taken(self, event: Input.Submitted) -> None:
        event.input.display = False
        self.first_focus().focus()
        self.console_app.reload_jobs()

    def set_filter(self, text: str) -> None:
        self.chosen = parse_job_filter(text)
        self.query_one("#jobs-filter", Input).value = text

    def back(self) -> bool:
        box = self.query_one("#jobs-filter", Input)
        had = bool(box.value) or box.display
        box.display = False
        if had:
            # The field tells of its change later; what is loaded now must not use the old filter.
            self.chosen = JobFilter()
            box.value = ""
            self.first_focus().focus()
            self.console_app.reload_jobs()
        return had

    def action_sort(self) -> None:
        at = SORTS.index(self.console_app.state.sort)
        self.console_app.sort_jobs(SORTS[(at + 1) % len(SORTS)], turn=False)

    def action_turn(self) -> None:
        self.console_app.sort_jobs(self.console_app.state.sort, turn=True)

    @on(LineTable.Opened)
    def _open(self, event: LineTable.Opened) -> None:
        event.stop()
        self.console_app.review_job(event.row)

    @on(LineTable.Moved)
    def _moved(self, event: LineTable.Moved) -> None:
        event.stop()
        self.console_app.moved(event.row)

    def action_snooze(self) -> None:
        self.console_app.caring.snooze(self.job_id)

    def action_mark(self) -> None:
        """One job at a time; the same key takes the mark away."""
        self.marked = None if self.marked == self.job_id else self.job_id
        self.draw(self.console_app.state)

    def unmark(self) -> None:
        self.marked = None

    def action_merge(self) -> None:
        self.console_app.caring.merge(self.marked, self.job_id)

    def action_split(self) -> None:
        self.console_app.caring.split(self.job_id)

    # --- the selection ------------------------------------------------------------------------

    def crumb(self) -> str:
        return self.job_id or ""

    def copied(self) -> str:
        return self.job_id or ""

    def about(self) -> str:
        return f"explain {self.job_id}" if self.job_id else ""
