"""Screen 7: every item that waits for a yes, of all types."""

import json
from typing import Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from console.columns import Column
from console.deeds import Verb
from console.format import SEVERITY_LOOK, Line, age, short_digest, stamp
from console.keys import Where
from console.screens.pane import Pane, waiting
from console.state import State
from console.widgets.line_table import LineTable, Row
from console.widgets.painted import Sheet, bindings
from console.wording import item_text
from proxy.contract.approvals import ApprovalView

COLUMNS = (
    Column("id", "id", 7),
    Column("type", "type", 13),
    Column("status", "status", 8),
    Column("risk", "risk", 8, leaves=1),
    Column("for", "for", 7, leaves=2),
    Column("summary", "summary", 0),
    Column("age", "age", 4, right=True, leaves=3),
)


def item_lines(item: ApprovalView) -> list[Line]:
    lines: list[Line] = [
        [(item_text(item), "title")],
        [(f"{item.item_type}, ", ""), (item.status, "")],
        [("risk ", "dim"), (item.risk, SEVERITY_LOOK.get(item.risk, ""))],
        [("asked by ", "dim"), (f"{item.created_by}, {stamp(item.created_at)}", "")],
        [("digest ", "dim"), (short_digest(item.digest), "")],
    ]
    if item.expires_at is not None:
        lines.append([("no answer means no, from ", "dim"), (stamp(item.expires_at), "")])
    if item.decision is not None:
        made = item.decision
        lines.append([(f"{made.decision} by {made.actor}", ""), (f"  {made.reason or ''}", "dim")])
    if item.details:
        lines += [[], *detail_lines(item.details)]
    return lines


def detail_lines(details: dict[str, Any]) -> list[Line]:
    """What the proposer added, a line for each; what is empty says nothing and is left out."""
    lines: list[Line] = []
    for name, value in details.items():
        if value in (None, "", [], {}):
            continue
        said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            said = "; ".join(value)
        lines.append([(f"{name.replace('_', ' ')}: ", "dim"), (said, "")])
    return lines


class ApprovalsPane(Pane):
    where: ClassVar[Where] = "approvals"
    BINDINGS: ClassVar[list[BindingType]] = bindings("approvals")

    def compose(self) -> ComposeResult:
        with Horizontal(classes="beside"):
            yield LineTable(COLUMNS, id="approvals-table")
            yield Sheet(id="approvals-detail")

    def first_focus(self) -> Widget:
        return self.query_one("#approvals-table", LineTable)

    @property
    def item_id(self) -> str | None:
        return self.query_one("#approvals-table", LineTable).cursor

    def draw(self, state: State) -> None:
        now = self.console_app.clock.now()
        rows = [
            Row(
                item.id,
                {
                    "id": (item.id, ""),
                    "type": (item.item_type, ""),
                    "status": (item.status, ""),
                    "risk": (item.risk, SEVERITY_LOOK.get(item.risk, "")),
                    "for": (item.patch_id or item.job_id or "–", "link"),
                    "summary": (item_text(item), ""),
                    "age": (age(item.created_at, now), "dim"),
                },
            )
            for item in state.approvals
        ]
        table = self.query_one("#approvals-table", LineTable)
        table.show(rows, waiting(state, "approvals", "nothing waits for you"))
        sheet = self.query_one("#approvals-detail", Sheet)
        chosen = next((item for item in state.approvals if item.id == table.cursor), None)
        sheet.set_title(f" {chosen.id} " if chosen else "")
        sheet.show(item_lines(chosen) if chosen else [])

    @on(LineTable.Opened)
    def _open(self, event: LineTable.Opened) -> None:
        event.stop()
        self.console_app.open_item(event.row)

    @on(LineTable.Moved)
    def _moved(self, event: LineTable.Moved) -> None:
        event.stop()
        self.console_app.redraw()

    def action_deed(self, verb: str) -> None:
        self.console_app.acting.on_item(cast("Verb", verb), self.item_id)

    def crumb(self) -> str:
        return self.item_id or ""

    def copied(self) -> str:
        return self.item_id or ""

    def about(self) -> str:
        return f"explain {self.item_id}" if self.item_id else ""
