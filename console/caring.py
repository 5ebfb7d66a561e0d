"""Care of jobs and alerts: snooze and its undo, merge, split, acknowledge. None of it passes a gate
or moves code.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

from console.care_plans import plan_acknowledge, plan_merge, plan_split
from console.deeds import number_of
from console.screens.choose import ChooseScreen
from console.wording import sample_text, sentence
from proxy.contract.alerts import AcknowledgeRequest, AlertView
from proxy.contract.jobs import JobView
from proxy.errors import SelfHealError

if TYPE_CHECKING:
    from console.app import ConsoleApp

SNOOZE = timedelta(hours=2)
UNDO_S = 10.0


class Caring:
    def __init__(self, app: "ConsoleApp") -> None:
        self._app = app
        self._undo: tuple[str, float] | None = None

    # --- snooze -------------------------------------------------------------------------------

    def snooze(self, job_id: str | None) -> None:
        app = self._app
        if job_id is None:
            app.say("no job is chosen")
        elif app.acting.may_act():
            app.run_worker(self._snooze(job_id), group="deed", exit_on_error=False)

    async def _snooze(self, job_id: str) -> None:
        app = self._app
        try:
            until = app.clock.now() + SNOOZE
            await app.client.set_status(number_of(job_id), "snoozed", until=until)
        except SelfHealError as error:
            app.say(sentence(error), bad=True)
            return
        self._undo = (job_id, app.clock.monotonic() + UNDO_S)
        app.say(f"{job_id} is left alone for 2 h; u undoes it")
        await app.loading.load("jobs")

    def undo(self) -> None:
        app = self._app
        undo, self._undo = self._undo, None
        if undo is None or app.clock.monotonic() > undo[1]:
            app.say("nothing to undo")
        elif app.acting.may_act():
            app.run_worker(self._reopen(undo[0]), group="deed", exit_on_error=False)

    async def _reopen(self, job_id: str) -> None:
        app = self._app
        try:
            await app.client.set_status(number_of(job_id), "open", reason="snooze undone")
        except SelfHealError as error:
            app.say(sentence(error), bad=True)
            return
        app.say(f"{job_id} is open again")
        await app.loading.load("jobs")

    # --- merge and split ----------------------------------------------------------------------

    def merge(self, marked: str | None, job_id: str | None) -> None:
        """The marked job becomes part of the one under the cursor."""
        app = self._app
        if marked is None or job_id is None or marked == job_id:
            app.say("space marks the job that is the same bug; M on the other one takes it in")
            return
        kept, gone = self._job(job_id), self._job(marked)
        if kept is None or gone is None:
            app.say(f"{marked} is not in this list any more; mark it again")
        elif app.acting.may_act():
            app.acting.begin(plan_merge(kept, gone), lambda *_: self._merge(kept, gone))

    async def _merge(self, kept: JobView, gone: JobView) -> None:
        job = await self._app.client.merge(number_of(kept.id), number_of(gone.id))
        self._app.jobs_pane.unmark()
        self._app.say(f"{gone.id} is part of {job.id} now, with {job.occurrences} occurrences")

    def split(self, job_id: str | None) -> None:
        """One kept sample, chosen from a list, becomes a job of its own."""
        app = self._app
        detail = app.state.details.get(job_id or "")
        if detail is None or not detail.events:
            app.say("no kept sample of this job is loaded; enter opens it, r looks again")
        elif app.acting.may_act():
            app.run_worker(self._choose(detail.job), group="choose", exit_on_error=False)

    async def _choose(self, job: JobView) -> None:
        app = self._app
        events = app.state.details[job.id].events
        rows = [(event.id, sample_text(event)) for event in events]
        title = f"Which failure of {job.id} is another bug?"
        chosen = await app.push_screen_wait(ChooseScreen(title, rows))
        sample = next((event for event in events if event.id == chosen), None)
        if sample is None:
            app.say("nothing was done")
        elif app.acting.may_act():
            app.acting.begin(plan_split(job, sample), lambda *_: self._split(job, sample.id))

    async def _split(self, job: JobView, event_id: str) -> None:
        new = await self._app.client.split(number_of(job.id), event_id)
        self._app.say(f"{new.id} stands for it now")

    def _job(self, job_id: str) -> JobView | None:
        return next((job for job in self._app.state.jobs if job.id == job_id), None)

    # --- alerts -------------------------------------------------------------------------------

    def acknowledge(self, alert: AlertView | None) -> None:
        app = self._app
        if alert is None:
            app.say("no alert is chosen")
        elif app.acting.may_act():
            app.acting.begin(plan_acknowledge(alert), lambda *_: self._acknowledge(alert))

    async def _acknowledge(self, alert: AlertView) -> None:
        body = AcknowledgeRequest(kind=alert.kind, subject=alert.subject)
        left = await self._app.client.acknowledge(body)
        self._app.say(f"{alert.subject} is acknowledged; {len(left)} left")
