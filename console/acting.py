"""Deeds from the screens: the user's own key, a plan (`deeds`), the question its tier wants, and
then at most one call that changes something (`sending`). What a deed binds to is fixed when the key
is pressed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from textual.app import SuspendNotSupported

from console import state as world
from console.deeds import (
    CannotDo,
    Plan,
    Verb,
    new_key,
    number_of,
    plan_apply,
    plan_approve,
    plan_break_glass,
    plan_item,
    plan_reject,
    plan_rollback,
    plan_sandbox,
    traffic_words,
)
from console.keys import key_of
from console.news import Got
from console.screens.confirm import Confirmed, ConfirmScreen
from console.sending import send_decision, send_deed
from console.signing import sign
from console.wording import in_words, sentence
from proxy.contract.patches import BreakGlassRequest, DeedRequest, PatchView
from proxy.errors import Conflict, SelfHealError

if TYPE_CHECKING:
    from console.app import ConsoleApp

FOLLOW_S = 600.0
"""How long a deed is watched until its patch has moved."""
FOLLOW_POLL_S = 1.0

Send = Callable[[Plan, Confirmed], Coroutine[Any, Any, None]]


class Acting:
    """``sign_with``: the founder's key file, for decisions that want a signature."""

    def __init__(self, app: "ConsoleApp", sign_with: str | None = None) -> None:
        self._app = app
        self._sign_with = sign_with
        self._asking = False

    # --- whether, and the question ------------------------------------------------------------

    def may_act(self) -> bool:
        """True when a deed may be begun now; else the user is told why not."""
        app = self._app
        why = world.why_not_act(app.state, app.clock.monotonic())
        if why is None and self._asking:
            why = "a question is open already"
        if why is None and app.activity:
            why = f"{app.activity}: one deed at a time"
        if why is not None:
            app.say(why)
        return why is None

    def begin(self, plan: Plan | CannotDo, send: Send) -> None:
        """Ask what the plan's tier wants to be asked, then ``send``."""
        if isinstance(plan, CannotDo):
            first = f"; {key_of(plan.first)} does that" if plan.first else ""
            self._app.say(plan.why + first)
            return
        self._asking = True
        self._app.run_worker(self._confirm(plan, send), group="deed", exit_on_error=False)

    async def _confirm(self, plan: Plan, send: Send) -> None:
        app = self._app
        try:
            answer: Confirmed | None = Confirmed()
            if plan.tier > 1:
                answer = await app.push_screen_wait(ConfirmScreen(plan, app.clock))
        finally:
            self._asking = False
        if answer is None:
            app.say("nothing was done")
            return
        # The world may have changed while the question stood there.
        why = world.why_not_act(app.state, app.clock.monotonic())
        if why is not None:
            app.say(f"nothing was sent: {why}", bad=True)
            return
        await self._perform(plan, send, answer)

    async def _perform(self, plan: Plan, send: Send, answer: Confirmed) -> None:
        app = self._app
        app.busy(f"{plan.verb} {plan.subject} …")
        try:
            await send(plan, answer)
        except Conflict as error:
            app.say(f"nothing was done: {error}", bad=True)
        except SelfHealError as error:
            app.say(sentence(error), bad=True)
        finally:
            app.busy("")
            if plan.patch is not None:
                await app.loading.load("patch", f"P-{plan.patch}")
            for what in plan.touches:
                await app.loading.load(what)

    # --- patches and items --------------------------------------------------------------------

    def on_patch(self, verb: Verb, patch_id: str | None) -> None:
        """A deed on the patch that is shown."""
        if not self.may_act():
            return
        app = self._app
        patch = app.state.patches.get(patch_id or "")
        if patch is None:
            app.say("no patch is chosen")
            return
        unseen = app.review_pane.unseen(app.state)
        sends: dict[Verb, Send] = {
            "approve": lambda plan, answer: self._decide(plan, answer, unseen, patch),
            "reject": self._decide,
            "break the glass": lambda plan, answer: self._break_glass(plan, patch, answer),
        }
        self.begin(self._plan(verb, patch, unseen), sends.get(verb, self._deed))

    def on_item(self, verb: Verb, item_id: str | None) -> None:
        """A yes or no to an item from the list."""
        if not self.may_act():
            return
        app = self._app
        item = next((item for item in app.state.approvals if item.id == item_id), None)
        if item is None:
            app.say("no item is chosen")
        elif item.item_type == "patch_main" and item.patch_id is not None:
            # Gate main is passed with the patch on the screen, never from a list.
            app.say("read the patch first: enter opens it, A decides there")
        else:
            side: Literal["approve", "reject"] = "reject" if verb == "reject" else "approve"
            self.begin(plan_item(item, side, self._environment()), self._decide)

    def _environment(self) -> str:
        health = self._app.state.health
        return health.environment if health else ""

    def _plan(self, verb: Verb, patch: PatchView, unseen: int) -> Plan | CannotDo:
        where = self._environment()
        plans: dict[Verb, Callable[[], Plan | CannotDo]] = {
            "sandbox": lambda: plan_sandbox(patch),
            "approve": lambda: plan_approve(patch, where, unseen),
            "reject": lambda: plan_reject(patch),
            "apply": lambda: plan_apply(patch, where, self._traffic(patch)),
            "rollback": lambda: plan_rollback(patch, where),
            "break the glass": lambda: plan_break_glass(patch, where),
        }
        return plans[verb]()

    def _traffic(self, patch: PatchView) -> str:
        """Share of the requests that the job's routes take, as far as it was measured."""
        routes = self._app.state.routes
        total = sum(route.requests for route in routes)
        mine = [route for route in routes if patch.job_id in route.jobs]
        if not total or not mine:
            return ""
        requests = sum(route.requests for route in mine)
        return traffic_words(requests / total, requests / mine[0].window_s)

    # --- sending ------------------------------------------------------------------------------

    async def _decide(
        self, plan: Plan, answer: Confirmed, unseen: int = 0, signed: PatchView | None = None
    ) -> None:
        app = self._app
        outcome = await send_decision(
            app.client,
            plan,
            digest=plan.digest,
            interactive=True,
            reason=answer.reason,
            unseen=unseen,
            signature=None if signed is None else await self._signature(signed),
            tell=app.busy,
        )
        more = ""
        if plan.verb == "approve" and plan.patch is not None and outcome.ok:
            more = "; nothing has moved yet, P applies it"
        app.say(outcome.message + more, bad=not outcome.ok)

    async def _break_glass(self, plan: Plan, patch: PatchView, answer: Confirmed) -> None:
        assert plan.patch is not None, "glass is broken for a patch"
        body = BreakGlassRequest(
            digest=plan.digest,
            idempotency_key=new_key(),
            reason=answer.reason or "",
            interactive=True,
            signature=await self._signature(patch),
        )
        done = await self._app.client.break_glass(plan.patch, body)
        self._app.hear(Got("patch", done.patch))
        self._app.say(f"{done.message}; nothing has moved yet, P applies it", bad=not done.ok)

    async def _signature(self, patch: PatchView) -> str | None:
        """The terminal is lent to ssh-keygen, which may ask for a passphrase or a touch."""
        if self._sign_with is None:
            return None
        with suppress(SuspendNotSupported), self._app.suspend():
            return sign(self._sign_with, patch)
        return await asyncio.to_thread(sign, self._sign_with, patch)

    async def _deed(self, plan: Plan, _answer: Confirmed) -> None:
        assert plan.patch is not None, "these deeds are done to a patch"
        app = self._app
        deed: Literal["sandbox", "apply", "rollback"] = (
            "sandbox" if plan.verb == "sandbox" else "apply" if plan.verb == "apply" else "rollback"
        )
        body = DeedRequest(
            digest=plan.digest,
            idempotency_key=new_key(),
            evidence_digest=plan.evidence_digest,
        )
        before = app.state.patches.get(plan.subject)
        result = await send_deed(app.client, plan.patch, deed, body, tell=app.busy)
        app.hear(Got("patch", result.patch))
        if not result.ok:
            app.say(result.message, bad=True)
            return
        after = await self._until_moved(plan, before, result.patch)
        app.say(f"{after.id} is {in_words(after.status)}")

    async def _until_moved(self, plan: Plan, before: PatchView | None, now: PatchView) -> PatchView:
        """Watch the patch until the deed shows on it; the promise of a server is not its
        fulfilment."""
        app = self._app
        started = app.clock.monotonic()
        old = before.evidence.started_at if before and before.evidence else None
        while not _has_moved(before, now, old):
            passed = app.clock.monotonic() - started
            if passed > FOLLOW_S:
                raise SelfHealError(f"{plan.subject} is still {now.status}; r looks again")
            app.busy(f"{plan.verb} {plan.subject} … {passed:.0f} s")
            await asyncio.sleep(FOLLOW_POLL_S)
            with suppress(SelfHealError):
                now = await app.client.patch(number_of(plan.subject))
                app.hear(Got("patch", now))
        return now


def _has_moved(before: PatchView | None, now: PatchView, old_run: datetime | None) -> bool:
    if now.status == "sandbox_running":
        return False
    if before is None or now.status != before.status:
        return True
    return now.evidence is not None and now.evidence.started_at != old_run
