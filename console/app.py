"""The terminal console: Textual wiring. What the world looks like is ``state``, what the screens
show is ``screens``, what a key sets going is ``acting``, ``caring`` and ``asking``; here they meet.
"""

import os
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from textual import events
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Input

from console import state as world
from console.acting import Acting
from console.asking import Asking
from console.caring import Caring
from console.frame import (
    LOADS,
    MIN_COLUMNS,
    MIN_ROWS,
    NARROW,
    alert_strip,
    foot,
    header,
    key_lines,
    problem_lines,
)
from console.keys import KEYS, SCREENS, Where
from console.loading import Loading
from console.news import Input as Heard
from console.pooled import PooledClient
from console.screens.alerts import AlertsPane
from console.screens.approvals import ApprovalsPane
from console.screens.audit import AuditPane
from console.screens.health import HealthPane
from console.screens.jobs import JobsPane
from console.screens.note import NoteScreen
from console.screens.pane import Pane
from console.screens.phill import PhillPane
from console.screens.review import ReviewPane
from console.screens.settings import SettingsPane
from console.state import State
from console.stream import EventStream
from console.themes import DARK, NAMES, THEMES
from console.widgets.bar import Bar
from console.widgets.painted import Painted
from console.widgets.palette import FactsProvider
from console.wording import ALERT_SAYS
from proxy.clock import Clock, SystemClock

PAINT_S = 0.25
CALM_PAINT_S = 1.0
AGES_S = 5.0
"""Without any news the ages on the screen are drawn again this often."""
HOLD_S = 5.0
"""Rows keep their places this long after a key."""


class ConsoleApp(App[int]):
    CSS_PATH = "console.tcss"
    TITLE = "Self-Heal"
    COMMANDS = App.COMMANDS | {lambda: FactsProvider}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action.removeprefix("app."), key.says, show=False)
        for key in KEYS
        if key.action.startswith("app.")
    ]

    def __init__(
        self,
        client: PooledClient,
        *,
        clock: Clock | None = None,
        read_only: bool = False,
        calm: bool = False,
        theme: str | None = None,
        sign_with: str | None = None,
    ) -> None:
        super().__init__()
        for own in THEMES:
            self.register_theme(own)
        self.theme = theme if theme in NAMES else "dark"
        self.client = client
        self.clock = clock or SystemClock()
        self.calm = calm
        self.state = State(read_only=read_only)
        self.paused = False
        self.activity = ""
        self.verified_at: datetime | None = None
        if calm:
            self.animation_level = "none"
        self._stream = EventStream(client, self.hear)
        self._dirty = True
        self._drawn_at = 0.0
        self._held_until = float("-inf")
        self.loading = Loading(self)
        self.acting = Acting(self, sign_with)
        self.caring = Caring(self)
        self.asking = Asking(self)
        self._where: Where = "health"

    # --- frame --------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Bar(id="head")
        yield Bar(id="strip")
        with ContentSwitcher(id="panes", initial="health"):
            yield HealthPane(id="health")
            yield JobsPane(id="jobs")
            yield ReviewPane(id="review")
            yield AuditPane(id="audit")
            yield PhillPane(id="phill")
            yield SettingsPane(id="settings")
            yield ApprovalsPane(id="approvals")
            yield AlertsPane(id="alerts")
        yield Bar(id="small")
        yield Bar(id="foot")

    def on_mount(self) -> None:
        for box in self.query(Input):
            box.cursor_blink = False
        self.pane.first_focus().focus()
        self._fit(self.size.width, self.size.height)
        # Nothing of the network before the first frame.
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.run_worker(self._stream.run(), name="stream", group="stream", exit_on_error=False)
        self.run_worker(self.loading.run(), name="refresh", group="refresh", exit_on_error=False)
        self.set_interval(CALM_PAINT_S if self.calm else PAINT_S, self._tick)
        self.redraw()

    async def on_unmount(self) -> None:
        await self.client.close()

    def on_resize(self, event: events.Resize) -> None:
        self._fit(event.size.width, event.size.height)
        self.call_after_refresh(self.redraw)

    def _fit(self, width: int, height: int) -> None:
        base = self.screen_stack[0]
        base.set_class(width < NARROW, "-narrow")
        base.set_class(width < NARROW and height < 34, "-low")
        small = width < MIN_COLUMNS or height < MIN_ROWS
        base.set_class(small, "-small")
        need = f"This window is {width}x{height}; the console needs {MIN_COLUMNS}x{MIN_ROWS}."
        self._bar("#small").show([(need, "high")])

    @property
    def base(self) -> Screen[Any]:
        return self.screen_stack[0]

    @property
    def pane(self) -> Pane:
        return self.base.query_one(f"#{self._where}", Pane)

    @property
    def jobs_pane(self) -> JobsPane:
        return self.base.query_one("#jobs", JobsPane)

    @property
    def review_pane(self) -> ReviewPane:
        return self.base.query_one("#review", ReviewPane)

    @property
    def phill_pane(self) -> PhillPane:
        return self.base.query_one("#phill", PhillPane)

    def _bar(self, name: str) -> Bar:
        return self.base.query_one(name, Bar)

    @property
    def _stands(self) -> bool:
        """False before the frame is there and while it is taken down."""
        return self.is_running and bool(self.screen_stack) and bool(self.base.query("#foot"))

    def _tick(self) -> None:
        if not self._stands:
            return
        at = self.clock.monotonic()
        if self.state.fresh is not None and not self._holding(at):
            self.state = world.settle(self.state)
            self._dirty = True
        stale = world.is_stale(self.state, at) and bool(self.state.loaded)
        if stale != self.base.has_class("-stale"):
            self.base.set_class(stale, "-stale")
            self._dirty = True
            for painted in self.base.query(Painted):
                painted.refresh()
        if self._dirty or self.asking.for_s() is not None or at - self._drawn_at > AGES_S:
            self.redraw()
        else:
            self._draw_frame()

    def redraw(self) -> None:
        self._dirty = False
        self._drawn_at = self.clock.monotonic()
        if self._stands:
            self.pane.draw(self.state)
            self._draw_frame()

    def _draw_frame(self) -> None:
        if not self._stands:
            return
        width = self.size.width
        why_not = world.why_not_act(self.state, self.clock.monotonic())
        self._bar("#head").show(
            header(self.state, self._where, self.pane.crumb(), width, self.clock)
        )
        self._bar("#strip").show(alert_strip(self.state.alerts, width, self.clock.now()))
        self.base.set_class(bool(self.state.alerts), "-alerts")
        typing = isinstance(self.focused, Input)
        self._bar("#foot").show(foot(self._where, why_not, self.activity, width, typing=typing))

    # --- news ---------------------------------------------------------------------------------

    def hear(self, news: Heard) -> None:
        """The one way anything from outside changes what is shown. Marks; the timer paints."""
        at = self.clock.monotonic()
        before, alerts = self.state.resynced, self.state.alerts
        was_loaded = "alerts" in self.state.loaded
        self.state = world.reduce(self.state, news, at, hold=self._holding(at))
        self._dirty = True
        if self.state.resynced != before:
            self.say("resynced: events were missed, everything is loaded again")
        if was_loaded and (new := world.new_critical(alerts, self.state.alerts)):
            more = f" and {len(new) - 1} more" if len(new) > 1 else ""
            self.say(f"{new[0].subject}: {ALERT_SAYS[new[0].kind]}{more}; 8 shows it")
        if self.state.due:
            self.loading.wake()

    def changed(self) -> None:
        """Something is to be drawn anew at the next tick."""
        self._dirty = True

    def busy(self, text: str) -> None:
        """What is being done, at the foot; empty when nothing is."""
        self.activity = text
        self._draw_frame()

    def _holding(self, at: float) -> bool:
        return self.paused or at < self._held_until

    def say(self, text: str, *, bad: bool = False) -> None:
        """A toast; what went wrong is also kept in the problem list."""
        if bad:
            at = self.clock.monotonic()
            self.state = world.with_problem(self.state, "deed", text, at)
            self._dirty = True
        self.notify(text, severity="error" if bad else "information", timeout=8, markup=False)

    # --- moving about -------------------------------------------------------------------------

    def action_goto(self, where: Where) -> None:
        self._where = where
        self.base.query_one("#panes", ContentSwitcher).current = where
        for what in LOADS.get(where, ()):
            self.loading.soon(what)
        self.pane.first_focus().focus()
        self.redraw()
        self.call_after_refresh(self.redraw)

    def action_step_back(self) -> None:
        """Closes what is open, else goes home to the list it came from. Never acts, never quits."""
        if self.pane.back():
            self.redraw()
        elif self._where == "review":
            self.action_goto("jobs")
        elif isinstance(self.focused, Input):
            self.pane.query(Painted).first().focus()
            self.redraw()
        elif self._where != "health":
            self.action_goto("health")

    def action_next_pane(self, by: int) -> None:
        if not self.pane.turn(by):
            if by > 0:
                self.base.focus_next()
            else:
                self.base.focus_previous()

    def action_keys(self) -> None:
        title = next(name for _, where, name in SCREENS if where == self._where)
        _ = self.push_screen(NoteScreen(f"Keys: {title}", key_lines(self._where)))

    def action_problems(self) -> None:
        lines = problem_lines(self.state.problems, self.clock.monotonic())
        _ = self.push_screen(NoteScreen("Problems", lines))

    def action_reload(self) -> None:
        self._held_until = float("-inf")
        self.state = world.settle(self.state)
        self._stream.retry_now()
        for what in LOADS.get(self._where, ()):
            self.loading.soon(what)
        if self.review_pane.job_id:
            self.loading.soon("job", self.review_pane.job_id)
        self.redraw()

    def action_pause(self) -> None:
        self.paused = not self.paused
        self.say("live updates are paused; p goes on" if self.paused else "live again")
        self.loading.wake()
        self.redraw()

    def action_copy(self) -> None:
        text = self.pane.copied()
        if text:
            self.copy_to_clipboard(text)
            self.say("sent to the terminal's clipboard")

    def action_leave(self) -> None:
        if self.phill_pane.has_draft and self._where != "phill":
            self.action_goto("phill")
            self.say("there is an unsent question; send it or clear it, then q")
        elif self.activity:
            self.say(f"{self.activity}: wait for it, or ctrl+q")
        else:
            self.exit(0)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for key, where, title in SCREENS:
            yield SystemCommand(f"{title} ({key})", "go there", lambda w=where: self.action_goto(w))
        yield SystemCommand("Keys (?)", "what works here", self.action_keys)
        yield SystemCommand("Problems (!)", "what went wrong", self.action_problems)
        for name in NAMES:
            yield SystemCommand(
                f"Theme {name}", "change the colours", lambda n=name: self._theme(n)
            )
        yield SystemCommand("Quit (q)", "leave the console", self.action_leave)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """A theme of somebody else's knows nothing of our looks."""
        return dict(DARK.variables)

    def _theme(self, name: str) -> None:
        self.theme = name

    # --- jobs ---------------------------------------------------------------------------------

    def moved(self, job_id: str | None) -> None:
        """The cursor stands on another job: hold the rows, fetch what the side pane shows."""
        self._held_until = self.clock.monotonic() + HOLD_S
        if job_id is not None and job_id not in self.state.details:
            self.loading.soon("job", job_id)
        self.redraw()

    def reload_jobs(self) -> None:
        self._held_until = float("-inf")
        self.loading.soon("jobs")

    def sort_jobs(self, sort: str, *, turn: bool) -> None:
        descending = self.state.descending != turn
        self.state = world.resort(self.state, sort, descending=descending)
        self.redraw()

    def find_jobs(self, text: str) -> None:
        self.jobs_pane.set_filter(text)
        self.action_goto("jobs")

    def review_job(self, job_id: str, patch_id: str | None = None) -> None:
        self.review_pane.show_job(job_id, patch_id)
        self.loading.soon("job", job_id)
        self.action_goto("review")

    def open_item(self, item_id: str) -> None:
        item = next((item for item in self.state.approvals if item.id == item_id), None)
        if item is None:
            return
        if item.job_id is not None:
            self.review_job(item.job_id, item.patch_id)
        else:
            self.action_goto("approvals")

    def follow(self, link: Any) -> None:
        """A citation of Phill's: it only navigates."""
        if link.kind == "job":
            self.review_job(link.id)
        elif link.kind == "patch" and (patch := self.state.patches.get(link.id)) is not None:
            self.review_job(patch.job_id, patch.id)
        elif link.kind == "patch":
            self.run_worker(self._follow_patch(link.id), exit_on_error=False)
        elif link.kind == "approval":
            self.open_item(link.id)
        else:
            self.find_jobs(link.id)

    async def _follow_patch(self, shown: str) -> None:
        await self.loading.load("patch", shown)
        if (patch := self.state.patches.get(shown)) is not None:
            self.review_job(patch.job_id, patch.id)

    def open_subject(self, subject: str) -> None:
        """``J-1``, ``P-1`` or ``A-1``, wherever it is shown best."""
        if subject.startswith("J-"):
            self.review_job(subject)
        elif subject.startswith("P-"):
            self.run_worker(self._follow_patch(subject), exit_on_error=False)
        else:
            self.open_item(subject)

    def seen_hunks(self, digest: str, hunks: frozenset[int]) -> None:
        self.state = world.mark_seen(self.state, digest, hunks)
        self._dirty = True

    # --- what other pages do ------------------------------------------------------------------

    def action_undo(self) -> None:
        self.caring.undo()

    def verify_chain(self) -> None:
        self.loading.soon("verify")

    def action_ask_about(self) -> None:
        about = self.pane.about()
        self.action_goto("phill")
        if about:
            self.phill_pane.draft(about)


def run_console(
    url: str,
    token: str,
    *,
    read_only: bool = False,
    calm: bool = False,
    theme: str | None = None,
    sign_with: str | None = None,
) -> int:
    """Open the console; returns the exit code. Needs a terminal."""
    if calm:
        os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    app = ConsoleApp(
        PooledClient(url, token), read_only=read_only, calm=calm, theme=theme, sign_with=sign_with
    )
    return app.run() or 0
