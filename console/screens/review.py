"""Screen 3: read the patch, see its proof, then decide. The decision itself is made in ``app`` and
``confirm``."""

from typing import ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from console.deeds import Verb, number_of
from console.format import Line, counted, cut, short_digest
from console.keys import Where
from console.proof import confidence_lines, evidence_lines, risk_lines, summary, verdict_line
from console.screens.jobs import job_lines
from console.screens.pane import Pane
from console.state import State
from console.widgets.diff_view import DiffView
from console.widgets.painted import Sheet, bindings
from proxy.contract.jobs import JobDetail
from proxy.contract.patches import PatchView

TABS = ("diff", "why", "checks")


def why_lines(patch: PatchView) -> list[Line]:
    """The proposer's own words, named as such, then risk and confidence with their reasons."""
    return [
        [(f"{patch.created_by} says", "dim")],
        [(patch.description or "nothing", "")],
        [],
        *risk_lines(patch.risk),
        *confidence_lines(patch.confidence),
    ]


def check_lines(patch: PatchView, seen: int, hunks: int) -> list[Line]:
    """The proof, what speaks against it, what has been read, and who said yes."""
    lines: list[Line] = []
    if patch.evidence is not None:
        lines += [verdict_line(patch.evidence), []]
    lines += evidence_lines(patch)
    all_seen = seen >= hunks
    sign = ("✓ ", "ok") if all_seen else ("✗ ", "bad")
    lines += [[], [sign, (f"hunks seen {seen}/{hunks}", "")]]
    for approval in patch.approvals:
        gate = {"patch_sandbox": "gate sandbox", "patch_main": "gate main"}.get(
            approval.item_type, approval.item_type
        )
        who = f" by {approval.decision.actor}" if approval.decision else ""
        lines.append([(f"{approval.id} {gate}: ", "dim"), (approval.status + who, "")])
    lines += [
        [],
        [("digest ", "dim"), (short_digest(patch.digest), "")],
        [("base   ", "dim"), (short_digest(patch.base_commit), "")],
    ]
    if patch.sandbox_branch:
        lines.append([("branch ", "dim"), (patch.sandbox_branch, "")])
    if patch.applied_commit:
        lines.append([("MAIN   ", "dim"), (short_digest(patch.applied_commit), "")])
    return lines


def _in_order(detail: JobDetail | None) -> list[str]:
    """A job's patches, the oldest first: P-1 is the first of three."""
    return sorted((p.id for p in detail.patches), key=number_of) if detail else []


class ReviewPane(Pane):
    where: ClassVar[Where] = "review"
    BINDINGS: ClassVar[list[BindingType]] = bindings("review")

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.job_id: str | None = None
        self.patch_id: str | None = None
        self._tab = 0

    def compose(self) -> ComposeResult:
        yield Static(id="review-tabs", classes="chip", markup=False)
        with Horizontal(classes="beside"):
            yield DiffView(id="diff")
            with Vertical(classes="column"):
                yield Sheet(id="why")
                yield Sheet(id="checks")
        yield Static(id="review-line", classes="below", markup=False)

    def on_mount(self) -> None:
        self.add_class("-tab-diff")

    def first_focus(self) -> Widget:
        return self.query_one("#diff", DiffView)

    def show_job(self, job_id: str, patch_id: str | None = None) -> None:
        self.job_id, self.patch_id = job_id, patch_id

    def patch(self, state: State) -> PatchView | None:
        return state.patches.get(self.patch_id or "")

    def _choose(self, detail: JobDetail | None) -> None:
        """Of a job's patches the first one that can still be decided."""
        if detail is None or self.patch_id is not None or not detail.patches:
            return
        order = ("sandbox_passed", "approved", "proposed", "sandbox_running", "applied")
        self.patch_id = min(
            detail.patches,
            key=lambda p: (order.index(p.status) if p.status in order else 9, len(p.id), p.id),
        ).id

    def draw(self, state: State) -> None:
        detail = state.details.get(self.job_id or "")
        self._choose(detail)
        patch = self.patch(state)
        if patch is None:
            self._draw_nothing(state, detail)
        else:
            self._draw_patch(state, patch)
        self._draw_tabs(state, detail, patch)

    def _draw_nothing(self, state: State, detail: JobDetail | None) -> None:
        view = self.query_one("#diff", DiffView)
        view.set_title(f" {self.job_id} " if self.job_id else " Review ")
        if self.job_id is None:
            view.say(
                [
                    [("no job is open here", "title")],
                    [("1 shows what waits for you, 2 lists the jobs; enter opens one", "dim")],
                ]
            )
        elif detail is None:
            why = state.failed.get("job")
            view.say([[("✗ ", "bad"), (why, "")]] if why else [[("loading …", "dim")]])
        else:
            head: list[Line] = [
                [("no patch yet", "title")],
                [("bring one: ", "dim"), (f"selfheal attach {self.job_id} --diff FILE", "")],
                [],
            ]
            view.say(head + job_lines(detail.job, detail, self.console_app.clock))
        # Without a patch there is nothing to say beside it; the room goes to the job.
        self.add_class("-bare")

    def _draw_patch(self, state: State, patch: PatchView) -> None:
        view = self.query_one("#diff", DiffView)
        self.remove_class("-bare")
        view.show(patch.digest, patch.diff, patch.sql)
        seen, hunks = len(state.seen.get(patch.digest, ())), view.whole.hunks
        size = f"{counted(view.whole.files, 'file')} +{view.whole.added} -{view.whole.removed}"
        view.set_title(f" Diff {size}   hunk {view.current_hunk()}/{hunks}   seen {seen}/{hunks} ")
        why = self.query_one("#why", Sheet)
        why.set_title(f" Why (by {cut(patch.created_by, 20)}) ")
        why.show(why_lines(patch))
        checks = self.query_one("#checks", Sheet)
        checks.set_title(" Evidence ")
        checks.show(check_lines(patch, seen, hunks))
        self.query_one("#review-line", Static).update(
            cut(f" {patch.status}   {summary(patch)}   seen {seen}/{hunks}", self.size.width)
        )

    def _draw_tabs(self, state: State, detail: JobDetail | None, patch: PatchView | None) -> None:
        tabs = "  ".join(
            f"[{name.capitalize()}]" if at == self._tab else f" {name.capitalize()} "
            for at, name in enumerate(TABS)
        )
        ids = _in_order(detail)
        place = f"{ids.index(patch.id) + 1} of {len(ids)}" if patch and patch.id in ids else ""
        what = f" {patch.id} ({place})  {patch.status}  risk {patch.risk.level}" if patch else " "
        line = what if self.is_wide else f"{what}   {tabs}"
        self.query_one("#review-tabs", Static).update(cut(line, max(self.size.width, 10)))

    # --- keys ---------------------------------------------------------------------------------

    def turn(self, by: int) -> bool:
        if self.is_wide:
            return False
        self.remove_class(f"-tab-{TABS[self._tab]}")
        self._tab = (self._tab + by) % len(TABS)
        self.add_class(f"-tab-{TABS[self._tab]}")
        self.query_one(f"#{TABS[self._tab]}").focus()
        self.draw(self.console_app.state)
        return True

    def action_hunk(self, by: int) -> None:
        self.query_one("#diff", DiffView).jump("hunk", by)

    def action_file(self, by: int) -> None:
        self.query_one("#diff", DiffView).jump("file", by)

    def action_unfold(self) -> None:
        self.query_one("#diff", DiffView).unfold()

    def action_patch(self, by: int) -> None:
        state = self.console_app.state
        detail = state.details.get(self.job_id or "")
        ids = _in_order(detail)
        if ids:
            at = ids.index(self.patch_id) if self.patch_id in ids else 0
            self.patch_id = ids[(at + by) % len(ids)]
            self.draw(state)

    def action_deed(self, verb: str) -> None:
        self.console_app.acting.on_patch(cast("Verb", verb), self.patch_id)

    def unseen(self, state: State) -> int:
        patch = self.patch(state)
        hunks = self.query_one("#diff", DiffView).whole.hunks
        return max(0, hunks - len(state.seen.get(patch.digest, ()))) if patch else 0

    @on(DiffView.Seen)
    def _seen(self, event: DiffView.Seen) -> None:
        event.stop()
        self.console_app.seen_hunks(event.digest, event.hunks)

    # --- the selection ------------------------------------------------------------------------

    def crumb(self) -> str:
        return " ▸ ".join(part for part in (self.job_id, self.patch_id) if part)

    def copied(self) -> str:
        patch = self.patch(self.console_app.state)
        return patch.digest if patch else self.job_id or ""

    def about(self) -> str:
        return f"explain {self.patch_id or self.job_id}" if self.job_id else ""
