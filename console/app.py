"""The terminal console: Textual wiring. What the world looks like is ``state``, what a deed takes
is ``deeds``, what the screens show is ``screens``; here they meet the client and the keys.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, get_args

from textual import events
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Input
from textual.worker import Worker

from console import state as world
from console.client import Client
from console.deeds import (
    CannotDo,
    Plan,
    Verb,
    new_key,
    number_of,
    plan_apply,
    plan_approve,
    plan_item,
    plan_reject,
    plan_rollback,
    plan_sandbox,
    traffic_words,
)
from console.format import STATUS_SAYS, Line
from console.frame import (
    LOADS,
    MIN_COLUMNS,
    MIN_ROWS,
    NARROW,
    foot,
    header,
    key_lines,
    problem_lines,
)
from console.keys import KEYS, SCREENS, Where
from console.news import Failed, Got, What
from console.news import Input as Heard
from console.screens.approvals import ApprovalsPane
from console.screens.audit import AuditPane
from console.screens.confirm import Confirmed, ConfirmScreen
from console.screens.health import HealthPane
from console.screens.jobs import JobsPane
from console.screens.note import NoteScreen
from console.screens.pane import Pane
from console.screens.phill import PhillPane, Turn
from console.screens.review import ReviewPane
from console.screens.settings import SettingsPane
from console.sending import send_decision, send_deed
from console.state import State
from console.stream import EventStream
from console.themes import DARK, NAMES, THEMES
from console.widgets.painted import Painted
from console.widgets.palette import FactsProvider
from console.wording import in_words
from proxy.clock import Clock, SystemClock
from proxy.contract import CategoryWord, DeedRequest, PatchView
from proxy.errors import Conflict, SelfHealError

CATEGORIES = get_args(CategoryWord)
PAINT_S = 0.25
CALM_PAINT_S = 1.0
REFRESH_S = 0.25
AGES_S = 5.0
"""Without any news the ages on the screen are drawn again this often."""
HOLD_S = 5.0
"""Rows keep their places this long after a key."""
JOBS_LOADED = 500
AUDIT_LOADED = 500
SNOOZE = timedelta(hours=2)
UNDO_S = 10.0
FOLLOW_S = 600.0
"""How long a deed is watched until its patch has moved."""
FOLLOW_POLL_S = 1.0


class Bar(Painted, can_focus=False):
    """One painted line."""

    DEFAULT_CSS = "Bar { border: none; height: 1; overflow: hidden; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._line: Line = []

    def show(self, line: Line) -> None:
        if line != self._line:
            self._line = line
            self.refresh()

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self._line)

    def render_line(self, y: int) -> Any:
        return self.paint(self._line, self.size.width)


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
        client: Client,
        *,
        clock: Clock | None = None,
        read_only: bool = False,
        calm: bool = False,
        theme: str | None = None,
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
        self._asking = False
        self._held_until = float("-inf")
        self._thinking: Worker[None] | None = None
        self._thinking_since = 0.0
        self._undo: tuple[str, float] | None = None
        self._wake = asyncio.Event()
        self._where: Where = "health"

    # --- frame --------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Bar(id="head")
        with ContentSwitcher(id="panes", initial="health"):
            yield HealthPane(id="health")
            yield JobsPane(id="jobs")
            yield ReviewPane(id="review")
            yield AuditPane(id="audit")
            yield PhillPane(id="phill")
            yield SettingsPane(id="settings")
            yield ApprovalsPane(id="approvals")
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
        self.run_worker(self._refresh(), name="refresh", group="refresh", exit_on_error=False)
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
        if self._dirty or self._thinking is not None or at - self._drawn_at > AGES_S:
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
        typing = isinstance(self.focused, Input)
        self._bar("#foot").show(foot(self._where, why_not, self.activity, width, typing=typing))

    # --- news ---------------------------------------------------------------------------------

    def hear(self, news: Heard) -> None:
        """The one way anything from outside changes what is shown. Marks; the timer paints."""
        at = self.clock.monotonic()
        before = self.state.resynced
        self.state = world.reduce(self.state, news, at, hold=self._holding(at))
        self._dirty = True
        if self.state.resynced != before:
            self.say("resynced: events were missed, everything is loaded again")
        if self.state.due:
            self._wake.set()

    def _holding(self, at: float) -> bool:
        return self.paused or at < self._held_until

    async def _refresh(self) -> None:
        """Load what the stream calls out of date, at most every ``REFRESH_S``."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self.paused:
                continue
            due, self.state = world.taken_due(self.state)
            await asyncio.gather(*(self.load(what, shown) for what, shown in due))
            await asyncio.sleep(REFRESH_S)

    async def load(self, what: What, shown: str = "") -> None:
        try:
            value = await self._call(what, shown)
        except SelfHealError as error:
            self.hear(Failed(what, _sentence(error)))
        else:
            if what == "verify":
                self.verified_at = self.clock.now()
            self.hear(Got(what, value))

    async def _call(self, what: What, shown: str) -> Any:
        calls: dict[What, Callable[[], Awaitable[Any]]] = {
            "health": self.client.health,
            "jobs": self._load_jobs,
            "job": lambda: self.client.job(number_of(shown)),
            "patch": lambda: self.client.patch(number_of(shown)),
            "routes": self.client.routes,
            "approvals": self.client.approvals,
            "audit": lambda: self.client.audit(limit=AUDIT_LOADED),
            "verify": self.client.verify_audit,
            "control": self.client.control,
        }
        return await calls[what]()

    async def _load_jobs(self) -> Any:
        chosen = self.base.query_one("#jobs", JobsPane).chosen
        text = " ".join(chosen.words) or None
        return await self.client.jobs(
            # A word still being typed is matched here; the server takes whole ones only.
            status=chosen.status if chosen.status in (*STATUS_SAYS, "all") else None,
            category=chosen.category if chosen.category in CATEGORIES else None,
            severity=chosen.severity,
            q=text,
            limit=JOBS_LOADED,
        )

    def load_soon(self, what: What, shown: str = "") -> None:
        group = f"load-{what}-{shown}"
        self.run_worker(
            self.load(what, shown), group=group, exclusive=True, exit_on_error=False, name=group
        )

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
            self.load_soon(what)
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
            self.load_soon(what)
        review = self.base.query_one("#review", ReviewPane)
        if review.job_id:
            self.load_soon("job", review.job_id)
        self.redraw()

    def action_pause(self) -> None:
        self.paused = not self.paused
        self.say("live updates are paused; p goes on" if self.paused else "live again")
        self._wake.set()
        self.redraw()

    def action_copy(self) -> None:
        text = self.pane.copied()
        if text:
            self.copy_to_clipboard(text)
            self.say("sent to the terminal's clipboard")

    def action_leave(self) -> None:
        phill = self.base.query_one("#phill", PhillPane)
        if phill.has_draft and self._where != "phill":
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
            self.load_soon("job", job_id)
        self.redraw()

    def reload_jobs(self) -> None:
        self._held_until = float("-inf")
        self.load_soon("jobs")

    def sort_jobs(self, sort: str, *, turn: bool) -> None:
        descending = self.state.descending != turn
        self.state = world.resort(self.state, sort, descending=descending)
        self.redraw()

    def find_jobs(self, text: str) -> None:
        self.base.query_one("#jobs", JobsPane).set_filter(text)
        self.action_goto("jobs")

    def review_job(self, job_id: str, patch_id: str | None = None) -> None:
        self.base.query_one("#review", ReviewPane).show_job(job_id, patch_id)
        self.load_soon("job", job_id)
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
        await self.load("patch", shown)
        if (patch := self.state.patches.get(shown)) is not None:
            self.review_job(patch.job_id, patch.id)

    def seen_hunks(self, digest: str, hunks: frozenset[int]) -> None:
        self.state = world.mark_seen(self.state, digest, hunks)
        self._dirty = True

    # --- deeds --------------------------------------------------------------------------------

    def _may_act(self) -> bool:
        why = world.why_not_act(self.state, self.clock.monotonic())
        if why is None and self._asking:
            why = "a question is open already"
        if why is None and self.activity:
            why = f"{self.activity}: one deed at a time"
        if why is not None:
            self.say(why)
        return why is None

    def deed(self, verb: Verb, patch_id: str | None) -> None:
        """The user's own key on the patch shown; what it binds to is fixed here."""
        if not self._may_act():
            return
        patch = self.state.patches.get(patch_id or "")
        if patch is None:
            self.say("no patch is chosen")
            return
        unseen = self.base.query_one("#review", ReviewPane).unseen(self.state)
        self._begin_deed(self._plan(verb, patch, unseen), unseen)

    def item_deed(self, verb: Verb, item_id: str | None) -> None:
        if not self._may_act():
            return
        item = next((item for item in self.state.approvals if item.id == item_id), None)
        if item is None:
            self.say("no item is chosen")
        elif item.item_type == "patch_main" and item.patch_id is not None:
            # Gate main is passed with the patch on the screen, never from a list.
            self.say("read the patch first: enter opens it, A decides there")
        else:
            side: Literal["approve", "reject"] = "reject" if verb == "reject" else "approve"
            self._begin_deed(plan_item(item, side, self._environment()), 0)

    def _environment(self) -> str:
        return self.state.health.environment if self.state.health else ""

    def _plan(self, verb: Verb, patch: PatchView, unseen: int) -> Plan | CannotDo:
        where = self._environment()
        plans: dict[Verb, Callable[[], Plan | CannotDo]] = {
            "sandbox": lambda: plan_sandbox(patch),
            "approve": lambda: plan_approve(patch, where, unseen),
            "reject": lambda: plan_reject(patch),
            "apply": lambda: plan_apply(patch, where, self._traffic(patch)),
            "rollback": lambda: plan_rollback(patch, where),
        }
        return plans[verb]()

    def _traffic(self, patch: PatchView) -> str:
        """Share of the requests that the job's routes take, as far as it was measured."""
        total = sum(route.requests for route in self.state.routes)
        mine = [route for route in self.state.routes if patch.job_id in route.jobs]
        if not total or not mine:
            return ""
        requests = sum(route.requests for route in mine)
        return traffic_words(requests / total, requests / mine[0].window_s)

    def _begin_deed(self, plan: Plan | CannotDo, unseen: int) -> None:
        if isinstance(plan, CannotDo):
            self.say(plan.why)
            return
        self._asking = True
        self.run_worker(self._confirm(plan, unseen), group="deed", exit_on_error=False)

    async def _confirm(self, plan: Plan, unseen: int) -> None:
        try:
            answer: Confirmed | None = Confirmed()
            if plan.tier > 1:
                answer = await self.push_screen_wait(ConfirmScreen(plan, self.clock))
        finally:
            self._asking = False
        if answer is None:
            self.say("nothing was done")
            return
        # The world may have changed while the question stood there.
        why = world.why_not_act(self.state, self.clock.monotonic())
        if why is not None:
            self.say(f"nothing was sent: {why}", bad=True)
            return
        await self._perform(plan, answer, unseen)

    async def _perform(self, plan: Plan, answer: Confirmed, unseen: int) -> None:
        self._busy(f"{plan.verb} {plan.subject} …")
        try:
            if plan.verb in ("approve", "reject"):
                await self._decide(plan, answer, unseen)
            else:
                await self._deed(plan)
        except Conflict as error:
            self.say(f"nothing was done: {error}", bad=True)
        except SelfHealError as error:
            self.say(_sentence(error), bad=True)
        finally:
            self._busy("")
            if plan.patch is not None:
                await self.load("patch", f"P-{plan.patch}")
            await self.load("approvals")

    def _busy(self, text: str) -> None:
        self.activity = text
        self._draw_frame()

    async def _decide(self, plan: Plan, answer: Confirmed, unseen: int) -> None:
        outcome = await send_decision(
            self.client,
            plan,
            digest=plan.digest,
            interactive=True,
            reason=answer.reason,
            unseen=unseen if plan.verb == "approve" else 0,
            tell=self._unknown,
        )
        more = ""
        if plan.verb == "approve" and plan.patch is not None and outcome.ok:
            more = "; nothing has moved yet, P applies it"
        self.say(outcome.message + more, bad=not outcome.ok)

    async def _deed(self, plan: Plan) -> None:
        assert plan.patch is not None, "these deeds are done to a patch"
        deed: Literal["sandbox", "apply", "rollback"] = (
            "sandbox" if plan.verb == "sandbox" else "apply" if plan.verb == "apply" else "rollback"
        )
        body = DeedRequest(
            digest=plan.digest,
            idempotency_key=new_key(),
            evidence_digest=plan.evidence_digest,
        )
        before = self.state.patches.get(plan.subject)
        result = await send_deed(self.client, plan.patch, deed, body, tell=self._unknown)
        self.hear(Got("patch", result.patch))
        if not result.ok:
            self.say(result.message, bad=True)
            return
        after = await self._until_moved(plan, before, result.patch)
        self.say(f"{after.id} is {in_words(after.status)}")

    def _unknown(self, words: str) -> None:
        self._busy(words)

    async def _until_moved(self, plan: Plan, before: PatchView | None, now: PatchView) -> PatchView:
        """Watch the patch until the deed shows on it; the promise of a server is not its
        fulfilment."""
        started = self.clock.monotonic()
        old = before.evidence.started_at if before and before.evidence else None
        while not _has_moved(before, now, old):
            passed = self.clock.monotonic() - started
            if passed > FOLLOW_S:
                raise SelfHealError(f"{plan.subject} is still {now.status}; r looks again")
            self._busy(f"{plan.verb} {plan.subject} … {passed:.0f} s")
            await asyncio.sleep(FOLLOW_POLL_S)
            with suppress(SelfHealError):
                now = await self.client.patch(number_of(plan.subject))
                self.hear(Got("patch", now))
        return now

    def snooze(self, job_id: str | None) -> None:
        if job_id is None:
            self.say("no job is chosen")
        elif self._may_act():
            self.run_worker(self._snooze(job_id), group="deed", exit_on_error=False)

    async def _snooze(self, job_id: str) -> None:
        try:
            until = self.clock.now() + SNOOZE
            await self.client.set_status(number_of(job_id), "snoozed", until=until)
        except SelfHealError as error:
            self.say(_sentence(error), bad=True)
            return
        self._undo = (job_id, self.clock.monotonic() + UNDO_S)
        self.say(f"{job_id} is left alone for 2 h; u undoes it")
        await self.load("jobs")

    def action_undo(self) -> None:
        undo, self._undo = self._undo, None
        if undo is None or self.clock.monotonic() > undo[1]:
            self.say("nothing to undo")
        elif self._may_act():
            self.run_worker(self._reopen(undo[0]), group="deed", exit_on_error=False)

    async def _reopen(self, job_id: str) -> None:
        try:
            await self.client.set_status(number_of(job_id), "open", reason="snooze undone")
        except SelfHealError as error:
            self.say(_sentence(error), bad=True)
            return
        self.say(f"{job_id} is open again")
        await self.load("jobs")

    def verify_chain(self) -> None:
        self.load_soon("verify")

    # --- Phill --------------------------------------------------------------------------------

    def action_ask_about(self) -> None:
        about = self.pane.about()
        self.action_goto("phill")
        if about:
            self.base.query_one("#phill", PhillPane).draft(about)

    def ask(self, text: str) -> bool:
        """False while an answer is still awaited."""
        if self._thinking is not None:
            self.say("one question at a time; esc stops this one")
            return False
        turn = Turn(text)
        phill = self.base.query_one("#phill", PhillPane)
        phill.turns = [*phill.turns, turn][-40:]
        self._thinking_since = self.clock.monotonic()
        self._thinking = self.run_worker(self._ask(turn), group="ask", exit_on_error=False)
        self.redraw()
        return True

    async def _ask(self, turn: Turn) -> None:
        try:
            turn.answer = await self.client.ask(turn.asked)
        except SelfHealError as error:
            turn.failed = _sentence(error)
        except asyncio.CancelledError:
            turn.failed = "stopped"
            raise
        finally:
            turn.took_s = self.clock.monotonic() - self._thinking_since
            self._thinking = None
            self._dirty = True

    def stop_thinking(self) -> bool:
        if self._thinking is None:
            return False
        self._thinking.cancel()
        return True

    def thinking_s(self) -> float | None:
        return self.clock.monotonic() - self._thinking_since if self._thinking else None


def _has_moved(before: PatchView | None, now: PatchView, old_run: datetime | None) -> bool:
    if now.status == "sandbox_running":
        return False
    if before is None or now.status != before.status:
        return True
    return now.evidence is not None and now.evidence.started_at != old_run


def _sentence(error: SelfHealError) -> str:
    return " ".join([str(error), *(f"[{note}]" for note in getattr(error, "__notes__", ()))])


def run_console(
    url: str, token: str, *, read_only: bool = False, calm: bool = False, theme: str | None = None
) -> int:
    """Open the console; returns the exit code. Needs a terminal."""
    if calm:
        os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    app = ConsoleApp(Client(url, token), read_only=read_only, calm=calm, theme=theme)
    return app.run() or 0
