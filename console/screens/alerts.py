"""Screen 8: what must be seen and nobody has acknowledged, the worst first."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from console.columns import Column
from console.format import Line, age, severity_bit, stamp
from console.keys import Where
from console.screens.pane import Pane, waiting
from console.state import State
from console.widgets.line_table import LineTable, Row
from console.widgets.painted import Sheet, bindings
from console.wording import ALERT_SAYS
from proxy.contract.alerts import AlertView

COLUMNS = (
    Column("id", "id", 7),
    Column("sev", "sev", 6),
    Column("what", "what", 13),
    Column("summary", "about", 0),
    Column("since", "since", 5, right=True, leaves=1),
)
MEANS = {
    "break_glass": "The founder let this patch past gate main without a proof.",
    "critical_job": "This failure is critical and nobody has said that it was seen.",
    "expiring": "Nobody has decided it yet, and no answer means no.",
}


def alert_id(alert: AlertView) -> str:
    """A subject may have more than one alert."""
    return f"{alert.kind} {alert.subject}"


def alert_lines(alert: AlertView) -> list[Line]:
    mark, look = severity_bit(alert.severity)
    lines: list[Line] = [
        [(f"{mark}  ", look), (ALERT_SAYS[alert.kind], "title")],
        [(MEANS[alert.kind], "")],
        [],
        [(alert.summary, "")],
        [("since ", "dim"), (f"{stamp(alert.since)} UTC", "")],
    ]
    if alert.expires_at is not None:
        lines.append([("expires ", "dim"), (f"{stamp(alert.expires_at)} UTC", "high")])
    return [
        *lines,
        [],
        [("It is told again, here and wherever alerts are pushed, until somebody", "dim")],
        [("acknowledges it. That decides nothing.", "dim")],
    ]


class AlertsPane(Pane):
    where: ClassVar[Where] = "alerts"
    BINDINGS: ClassVar[list[BindingType]] = bindings("alerts")

    def compose(self) -> ComposeResult:
        with Horizontal(classes="beside"):
            yield LineTable(COLUMNS, id="alerts-table")
            yield Sheet(id="alerts-detail")

    def first_focus(self) -> Widget:
        return self.query_one("#alerts-table", LineTable)

    @property
    def chosen(self) -> AlertView | None:
        cursor = self.query_one("#alerts-table", LineTable).cursor
        alerts = self.console_app.state.alerts
        return next((alert for alert in alerts if alert_id(alert) == cursor), None)

    def draw(self, state: State) -> None:
        now = self.console_app.clock.now()
        rows = [
            Row(
                alert_id(alert),
                {
                    "id": (alert.subject, ""),
                    "sev": severity_bit(alert.severity),
                    "what": (ALERT_SAYS[alert.kind], ""),
                    "summary": (alert.summary, ""),
                    "since": (age(alert.since, now), "dim"),
                },
            )
            for alert in state.alerts
        ]
        table = self.query_one("#alerts-table", LineTable)
        table.show(rows, waiting(state, "alerts", "nothing waits to be acknowledged"))
        sheet = self.query_one("#alerts-detail", Sheet)
        chosen = self.chosen
        sheet.set_title(f" {chosen.subject} " if chosen else "")
        sheet.show(alert_lines(chosen) if chosen else [])

    @on(LineTable.Opened)
    def _open(self, event: LineTable.Opened) -> None:
        event.stop()
        if self.chosen is not None:
            self.console_app.open_subject(self.chosen.subject)

    @on(LineTable.Moved)
    def _moved(self, event: LineTable.Moved) -> None:
        event.stop()
        self.console_app.redraw()

    def action_acknowledge(self) -> None:
        self.console_app.caring.acknowledge(self.chosen)

    def crumb(self) -> str:
        return self.chosen.subject if self.chosen else ""

    def copied(self) -> str:
        return self.crumb()

    def about(self) -> str:
        return f"explain {self.crumb()}" if self.chosen else ""
