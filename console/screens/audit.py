"""Screen 4: who did what, newest first, and whether the chain holds."""

import json
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from console.columns import Column
from console.filters import audit_filter
from console.format import Line, clock_time, count, counted, cut, stamp
from console.keys import Where
from console.screens.note import NoteScreen
from console.screens.pane import Pane, waiting
from console.state import State
from console.widgets.line_table import LineTable, Row
from console.widgets.painted import bindings
from console.wording import step_text
from proxy.contract.audit import AuditView

COLUMNS = (
    Column("seq", "#", 6, leaves=2, right=True),
    Column("at", "time (UTC)", 19),
    Column("actor", "actor", 14),
    Column("action", "action", 24),
    Column("subject", "subject", 8),
    Column("reason", "step and reason", 0),
)


def record_lines(entry: AuditView) -> list[Line]:
    """One entry, whole: who, from where, before and after, and its place in the chain."""
    rows = (
        ("at", stamp(entry.at) + " UTC"),
        ("who", f"{entry.actor} ({entry.role}) from {entry.origin}"),
        ("action", f"{entry.action} on {entry.subject}"),
        ("reason", entry.reason or "–"),
        ("hash", entry.hash),
        ("before it", entry.prev_hash),
    )
    lines: list[Line] = [[(f"{name:<10}", "dim"), (text, "")] for name, text in rows]
    for name, value in (("before", entry.before), ("after", entry.after)):
        shown = json.dumps(value, indent=2, ensure_ascii=False).split("\n")
        lines += [[], [(name, "dim")], *([("  " + text, "")] for text in shown)]
    return lines


class AuditPane(Pane):
    where: ClassVar[Where] = "audit"
    BINDINGS: ClassVar[list[BindingType]] = bindings("audit")

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._filter = ""
        self._entries: dict[str, AuditView] = {}

    def compose(self) -> ComposeResult:
        yield Static(id="audit-chip", classes="chip", markup=False)
        yield Input(
            id="audit-filter", placeholder="actor:founder action:approve P-1", classes="filter"
        )
        yield LineTable(COLUMNS, id="audit-table")

    def first_focus(self) -> Widget:
        return self.query_one("#audit-table", LineTable)

    def draw(self, state: State) -> None:
        takes = audit_filter(self._filter)
        page = state.audit
        entries = [entry for entry in (page.entries if page else []) if takes(entry)]
        self._entries = {f"#{entry.seq}": entry for entry in entries}
        rows = [
            Row(
                shown,
                {
                    "seq": (str(entry.seq), "dim"),
                    "at": (stamp(entry.at), ""),
                    "actor": (entry.actor, "title" if entry.role == "founder" else ""),
                    "action": (entry.action, ""),
                    "subject": (entry.subject, "link"),
                    "reason": (step_text(entry), "dim"),
                },
            )
            for shown, entry in self._entries.items()
        ]
        empty = waiting(state, "audit", "nobody did anything yet")
        self.query_one("#audit-table", LineTable).show(rows, empty)
        self.query_one("#audit-chip", Static).update(self._chip(state, len(rows)))

    def _chip(self, state: State, shown: int) -> str:
        total = state.audit.total if state.audit else 0
        chip = f" / {self._filter or 'everything'} ▏{count(shown)} of {count(total)}"
        return cut(f"{chip}   {self._chain(state)}", max(self.size.width, 10))

    def _chain(self, state: State) -> str:
        verdict = state.verdict
        if verdict is None:
            return "○ chain not checked yet (v)"
        if not verdict.ok:
            return f"✗ CHAIN BROKEN at #{verdict.first_bad}"
        at = self.console_app.verified_at
        when = f" ({clock_time(at)})" if at else ""
        return f"✓ chain verified, {counted(verdict.entries, 'entry', 'entries')}{when}"

    def action_filter(self) -> None:
        box = self.query_one("#audit-filter", Input)
        box.display = True
        box.focus()

    @on(Input.Changed, "#audit-filter")
    def _typed(self, event: Input.Changed) -> None:
        self._filter = event.value
        self.draw(self.console_app.state)

    @on(Input.Submitted, "#audit-filter")
    def _taken(self, event: Input.Submitted) -> None:
        event.input.display = False
        self.first_focus().focus()

    def back(self) -> bool:
        box = self.query_one("#audit-filter", Input)
        had = bool(box.value) or box.display
        box.display = False
        if had:
            box.value = ""
            self.first_focus().focus()
        return had

    def action_verify(self) -> None:
        self.console_app.verify_chain()

    @on(LineTable.Opened)
    def _open(self, event: LineTable.Opened) -> None:
        event.stop()
        if entry := self._entries.get(event.row):
            _ = self.app.push_screen(NoteScreen(f"Audit #{entry.seq}", record_lines(entry)))

    def copied(self) -> str:
        row = self.query_one("#audit-table", LineTable).cursor
        entry = self._entries.get(row or "")
        return entry.model_dump_json() if entry else ""
