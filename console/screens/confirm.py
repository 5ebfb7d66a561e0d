"""The question before a deed. It opens only on the user's own key, starts on No, and no stray key
can say yes.

Every key is ignored until the dialog has been on screen, untouched, for ``ARM_S``; a key that comes
sooner starts the time again, so a held key never arrives. Keys faster than a finger, and pastes,
never confirm.
"""

from dataclasses import dataclass
from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from console.deeds import Plan
from console.format import Line
from console.widgets.painted import Sheet
from proxy.clock import Clock

ARM_S = 0.4
FAST_S = 0.03
"""Two keys closer than this come from no finger."""
REASON_MAX = 500

Step = Literal["reason", "ask", "type"]


@dataclass(frozen=True, slots=True)
class Confirmed:
    reason: str | None = None


class ConfirmScreen(ModalScreen[Confirmed | None]):
    """Dismisses with ``Confirmed`` or with None, which means: do nothing."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        super().__init__()
        self.plan = plan
        self._clock = clock
        self._step: Step = "reason" if plan.wants_reason else _last_step(plan)
        self._armed_at = float("inf")
        self._last_key = float("-inf")
        self._typed = ""
        self._reason = ""
        self._said = ""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes=f"tier{self.plan.tier}"):
            yield Sheet(id="question")
            yield Sheet(id="answer")

    def on_mount(self) -> None:
        box = self.query_one("#question", Sheet)
        box.can_focus = False
        self.query_one("#answer", Sheet).can_focus = False
        self._draw()
        self.call_after_refresh(self._arm)

    def _arm(self) -> None:
        self._armed_at = self._clock.monotonic() + ARM_S

    # --- keys ---------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        # A paste is never an answer; the reason is the one text that may be pasted.
        if isinstance(event, events.Paste):
            event.stop()
            if self._step == "reason" and self._clock.monotonic() >= self._armed_at:
                self._reason = (self._reason + event.text.replace("\n", " "))[:REASON_MAX]
                self._draw()
            return
        await super().on_event(event)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        now = self._clock.monotonic()
        fast, self._last_key = now - self._last_key < FAST_S, now
        if event.key == "escape":
            # Doing nothing is always allowed, at once.
            self._leave(None)
            return
        if now < self._armed_at or (fast and self._step != "reason"):
            self._armed_at = now + ARM_S
            return
        match self._step:
            case "reason":
                self._key_reason(event)
            case "ask":
                self._key_ask(event)
            case "type":
                self._key_type(event)
        if self.is_current:
            self._draw()

    def _key_reason(self, event: events.Key) -> None:
        if event.key != "enter":
            self._reason = _edited(self._reason, event)[:REASON_MAX]
        elif len(self._reason.strip()) >= self.plan.reason_min:
            self._step, self._said = _last_step(self.plan), ""
            self._arm()
        else:
            few = self.plan.reason_min
            self._said = "a reason is wanted" + (f", {few} characters at least" if few > 1 else "")

    def _key_ask(self, event: events.Key) -> None:
        if event.character == "y":
            self._leave(Confirmed(self._reason.strip() or None))
        elif event.key in ("n", "enter"):
            self._leave(None)

    def _key_type(self, event: events.Key) -> None:
        if event.key != "enter":
            self._typed, self._said = _edited(self._typed, event)[:20], ""
        elif self._typed == self.plan.typed:
            self._leave(Confirmed(self._reason.strip() or None))
        else:
            self._said = f"{self._typed or 'nothing'} is not {self.plan.typed}; nothing was done"
            self._typed = ""

    def _leave(self, answer: Confirmed | None) -> None:
        if self.is_current:
            _ = self.dismiss(answer)  # awaited here it would wait for itself

    # --- looks --------------------------------------------------------------------------------

    def _draw(self) -> None:
        question: list[Line] = [[(self.plan.title, "title")], []]
        question += [[(line, "bad" if line.startswith("✗") else "")] for line in self.plan.lines]
        self.query_one("#question", Sheet).show(question)
        self.query_one("#answer", Sheet).show([self._prompt(), [(self._said, "high")]])

    def _prompt(self) -> Line:
        match self._step:
            case "reason":
                return [("Why? ", "title"), (self._reason + "▏", ""), ("   enter = go on", "dim")]
            case "ask":
                return [
                    (f"{self.plan.verb.capitalize()}?  ", "title"),
                    ("[ No ]", "cursor"),
                    ("   y = yes, n or esc or enter = do nothing", "dim"),
                ]
            case "type":
                verb = self.plan.verb.replace("rollback", "roll back")
                return [
                    (f"Type {self.plan.typed} to {verb}: ", "title"),
                    (self._typed + "▏", ""),
                    ("   esc = do nothing", "dim"),
                ]


def _last_step(plan: Plan) -> Step:
    return "type" if plan.tier == 3 else "ask"


def _edited(text: str, event: events.Key) -> str:
    if event.key == "backspace":
        return text[:-1]
    if event.key == "ctrl+u":
        return ""
    if event.character and event.is_printable:
        return text + event.character
    return text
