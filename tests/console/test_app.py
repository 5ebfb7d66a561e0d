"""The console under a pilot: keys, tiers, states. Every deed is looked for at the server, not on
the screen."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from textual import events

from console.screens.confirm import ARM_S, ConfirmScreen
from console.signing import NAMESPACE, text_to_sign
from console.widgets.painted import Sheet
from proxy.contract.patches import RiskView
from tests.support import console_facts as facts
from tests.support.console_pilot import on_stage
from tests.support.console_server import ConsoleServer, Problem, proven

HIGH = RiskView(score=55, level="high", reasons=["touches authentication"])


async def test_every_screen_opens_and_says_where_it_is(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        for key, word in (("1", "87 / 100"), ("2", "J-2"), ("4", "approval.approve")):
            await stage.press(key)
            await stage.until(lambda word=word: word in stage.shown())  # type: ignore[misc] # bound now
        await stage.press("6")
        await stage.until(lambda: "risk.max_auto_score" in stage.shown())
        await stage.press("7")
        await stage.until(lambda: "patch_sandbox" in stage.shown())
        await stage.press("question_mark")
        await stage.until(lambda: "Deciding" in stage.shown())
        await stage.press("escape", "escape")
        await stage.until(lambda: "Health" in stage.shown().split("\n")[0])
        assert "[PRODUCTION]" in stage.shown()
        assert "● live" in stage.shown()
        assert stage.sent() == []


async def test_sandbox_at_low_risk_is_one_key(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.review()
        await stage.press("S")
        await stage.until(lambda: "P-1 is sandbox passed" in stage.toasts())
        assert [path for path, _ in stage.sent()] == ["/patches/1/sandbox"]
        assert stage.sent()[0][1]["digest"] == facts.digest("P-1")
        assert stage.sent()[0][1]["interactive"] is True
        await stage.until(lambda: "reproduced: the failure came back" in stage.shown())


async def test_approve_is_asked_with_the_focus_on_no(server: ConsoleServer) -> None:
    server.patches["P-1"] = proven(facts.patch(1))
    async with on_stage(server) as stage:
        await stage.review()
        await stage.press("A")
        await stage.armed()
        await stage.press("enter")
        await stage.until(lambda: "nothing was done" in stage.toasts())
        assert stage.sent() == []
        await stage.press("A")
        await stage.armed()
        await stage.press("y")
        await stage.until(lambda: server.patches["P-1"].status == "approved")
        path, body = stage.sent()[0]
        assert (path, body["decision"], body["unseen_hunks"]) == (
            "/approvals/101/decision",
            "approve",
            0,
        )
        assert body["evidence_digest"] == facts.digest("sandbox_passed")


async def test_early_keys_are_ignored_and_start_the_time_again(server: ConsoleServer) -> None:
    server.patches["P-1"] = proven(facts.patch(1))
    async with on_stage(server) as stage:
        await stage.review()
        await stage.press("A")
        await stage.until(lambda: isinstance(stage.app.screen, ConfirmScreen))
        await stage.pilot.pause()
        for _ in range(8):
            await stage.press("y", gap=ARM_S - 0.05)
        assert isinstance(stage.app.screen, ConfirmScreen), "a held key never confirms"
        stage.clock.advance(ARM_S + 0.01)
        await stage.press("y", gap=0.0)
        await stage.until(lambda: server.patches["P-1"].status == "approved")


@pytest.mark.parametrize(
    ("verb", "key", "status"), [("apply", "P", "approved"), ("rollback", "Z", "applied")]
)
async def test_heavy_deeds_want_the_job_number(
    server: ConsoleServer, verb: str, key: str, status: str
) -> None:
    server.patches["P-1"] = facts.patch(1, status=status)
    async with on_stage(server) as stage:
        await stage.review()
        await stage.press(key)
        screen = await stage.armed()
        await stage.press("y", "enter", "2", "enter")
        assert isinstance(stage.app.screen, ConfirmScreen)
        assert "is not 1" in screen._said
        # Pasted, or faster than a finger: not an answer.
        screen.post_message(events.Paste("1\n"))
        await stage.pilot.pause()
        await stage.press("1", "enter", gap=0.0)
        assert stage.sent() == []
        stage.clock.advance(1)
        await stage.press("ctrl+u", "1", "enter", gap=0.2)
        await stage.until(lambda: [path for path, _ in stage.sent()] == [f"/patches/1/{verb}"])


async def test_high_risk_approval_is_tier_3(server: ConsoleServer) -> None:
    server.patches["P-1"] = proven(facts.patch(1, risk=HIGH))
    async with on_stage(server) as stage:
        await stage.review()
        await stage.press("A")
        screen = await stage.armed()
        assert screen.plan.tier == 3
        await stage.press("y", "escape")
        await stage.until(lambda: "nothing was done" in stage.toasts())
        assert stage.sent() == []


async def test_reject_wants_a_reason(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.review()
        await stage.press("R")
        screen = await stage.armed()
        await stage.press("enter")
        assert screen._said == "a reason is wanted"
        await stage.press("n", "o", "y", "enter")
        await stage.armed()
        await stage.press("y")
        await stage.until(lambda: server.patches["P-1"].status == "rejected")
        assert stage.sent()[0][1]["reason"] == "noy"


async def test_no_answer_is_checked_with_the_same_key(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.review()
        server.answerless = 1
        await stage.press("S")
        await stage.until(lambda: "P-1 is sandbox passed" in stage.toasts())
        keys = [body["idempotency_key"] for _, body in stage.sent()]
        assert (len(keys), len(set(keys))) == (2, 1)


async def test_a_change_since_is_told_and_nothing_happens(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.review()
        server.patches["P-1"] = facts.patch(1, digest="f" * 64)
        await stage.press("S")
        await stage.until(lambda: any("changed since" in toast for toast in stage.toasts()))
        assert server.patches["P-1"].status == "proposed"
        assert stage.app.state.problems[-1].reason.startswith("nothing was done: P-1 changed")


async def test_too_early_says_what_comes_first(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.review()
        await stage.press("A", "P", "Z")
        await stage.until(lambda: len(stage.toasts()) == 3)
        assert [said.rpartition(": ")[2] for said in stage.toasts()] == [
            "only a patch that passed the sandbox can be approved; S does that",
            "it needs a proof and a yes; S does that",
            "P-1 is proposed; only an applied patch is rolled back",
        ]
        assert stage.sent() == []
        assert not isinstance(stage.app.screen, ConfirmScreen)


@pytest.mark.parametrize("why", ["read-only", "stale", "offline"])
async def test_without_fresh_data_no_key_acts(server: ConsoleServer, why: str) -> None:
    async with on_stage(server, read_only=why == "read-only") as stage:
        await stage.review()
        if why == "stale":
            stage.clock.advance(11)
        if why == "offline":
            await server.stop()
            await stage.until(lambda: stage.app.state.connection.kind == "offline")
        for key in "SARPZ":
            await stage.press(key, gap=0)
        await stage.until(lambda: len(stage.toasts()) >= 5)
        words = {"read-only": "read-only", "stale": "s old", "offline": "not connected"}
        assert all(words[why] in toast for toast in stage.toasts())
        assert stage.sent() == []


async def test_a_dialog_never_opens_by_itself(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("2")
        focus = stage.app.focused
        for kind in ("job", "patch", "approval", "audit", "health"):
            server.publish(kind, "J-1")
        await stage.pilot.pause(0.6)
        assert len(stage.app.screen_stack) == 1
        assert stage.app.focused is focus


async def test_typing_in_a_field_is_text(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("5")
        await stage.press(*"2SAPq?")
        assert stage.app._where == "phill"
        assert stage.app.query_one("#ask").value == "2SAPq?"  # type: ignore[attr-defined] # an Input
        await stage.press("enter")
        await stage.until(lambda: "You asked: 2SAPq?" in stage.shown())
        assert "facts only" in stage.shown()


@pytest.mark.parametrize("key", ["enter", "l"])
async def test_enter_opens_what_the_cursor_is_on(server: ConsoleServer, key: str) -> None:
    async with on_stage(server) as stage:
        needs = stage.table("needs")
        await stage.until(lambda: needs.cursor is not None)
        await stage.press("1", key)
        await stage.until(lambda: stage.app._where == "review")
        waits = next(item for item in stage.app.state.approvals if item.id == needs.cursor)
        assert waits.patch_id is not None
        assert waits.patch_id in stage.shown().split("\n")[0]
        await stage.press("4")
        await stage.until(lambda: stage.table("audit-table").cursor is not None)
        await stage.press(key)
        await stage.until(lambda: "before it" in stage.shown())


async def test_a_filter_that_hides_every_job_says_so(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("2", "slash", *"zebra", "enter")
        await stage.until(lambda: "match; esc clears the filter" in stage.shown())
        assert "no open job" not in stage.shown()


async def test_the_scroll_bar_hides_no_text(server: ConsoleServer) -> None:
    """Every character of a wrapped line is on the screen, also beside a scroll bar."""
    line = "".join(chr(ord("a") + at % 26) for at in range(700))
    server.jobs = {"J-1": facts.job(1, signature_text=line, evidence=["fact"] * 8)}
    async with on_stage(server) as stage:
        await stage.press("2")
        detail = stage.app.base.query_one("#jobs-detail", Sheet)
        await stage.until(lambda: "abc" in detail.text)
        region = detail.content_region
        rows = [row[region.x : region.right] for row in stage.shown().split("\n")]
        seen = "".join(row.rstrip() for row in rows[region.y : region.bottom])
        assert line[:200] in seen


async def test_in_a_field_the_footer_names_no_letter(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("5")
        await stage.until(lambda: "enter send" in stage.shown().split("\n")[-1])
        assert "ask Phill" not in stage.shown().split("\n")[-1]


async def test_tab_turns_the_page_on_a_small_screen(server: ConsoleServer) -> None:
    server.patches["P-1"] = proven(facts.patch(1))
    async with on_stage(server, size=(80, 24)) as stage:
        await stage.review()
        await stage.until(lambda: "[Diff]" in stage.shown())
        await stage.press("tab")
        await stage.until(lambda: "[Why]" in stage.shown())
        await stage.press("tab")
        await stage.until(lambda: "reproduced: the failure came back" in stage.shown())
        await stage.press("shift+tab")
        await stage.until(lambda: "[Why]" in stage.shown())
        await stage.press("1", "tab")
        await stage.until(lambda: "Routes by harm" in stage.shown())
        await stage.press("tab")
        await stage.until(lambda: "Needs you" in stage.shown())


async def test_tab_moves_to_the_next_pane_on_a_wide_one(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("1", "tab")
        assert stage.app.focused is stage.table("routes")


async def test_filter_narrows_and_esc_clears(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("2", "slash", *"sev:crit")
        await stage.until(lambda: [row.id for row in stage.table("jobs-table").rows] == ["J-2"])
        await stage.press("escape")
        await stage.until(lambda: len(stage.table("jobs-table").rows) == 4)


async def test_the_cursor_is_bound_to_the_job(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("2", "j")
        table = stage.table("jobs-table")
        assert table.cursor == "J-2"
        server.jobs["J-9"] = facts.job(9, last_seen=facts.NOW)
        server.publish("job", "J-9")
        await stage.until(lambda: "▲ 1 new" in stage.shown())
        assert next(row.id for row in table.rows) == "J-1", "rows hold still under the cursor"
        stage.clock.advance(6)
        await stage.until(lambda: next(row.id for row in table.rows) == "J-9")
        assert table.cursor == "J-2"
        del server.jobs["J-2"]
        server.publish("job", "J-2")
        await stage.until(lambda: len(table.rows) == 4)
        assert table.cursor is None, "nobody else takes the place of what left"
        await stage.press("x")
        await stage.until(lambda: "no job is chosen" in stage.toasts())
        assert stage.sent() == []


async def test_snooze_and_undo(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("2", "x")
        await stage.until(lambda: server.jobs["J-1"].status == "snoozed")
        await stage.until(lambda: any("u undoes" in toast for toast in stage.toasts()))
        await stage.press("u")
        await stage.until(lambda: server.jobs["J-1"].status == "open")


async def test_seen_hunks_are_counted_honestly(server: ConsoleServer) -> None:
    server.patches["P-1"] = proven(facts.patch(1))
    async with on_stage(server, size=(80, 24)) as stage:
        await stage.review()
        await stage.until(lambda: bool(stage.app.state.seen.get(facts.digest("P-1"))))
        seen = stage.app.state.seen[facts.digest("P-1")]
        assert 0 < len(seen) < 3
        await stage.press("A")
        screen = await stage.armed()
        missing = 3 - len(seen)
        assert f"✗ {missing} hunk(s) of the diff not seen" in screen.plan.lines[-1]
        await stage.press("y")
        await stage.until(lambda: bool(stage.sent()))
        assert stage.sent()[0][1]["unseen_hunks"] == missing
        await stage.press("right_curly_bracket", "G")
        await stage.until(lambda: len(stage.app.state.seen[facts.digest("P-1")]) == 3)


async def test_an_error_is_shown_and_kept(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        server.broken["/control"] = Problem(503, "storage is away")
        await stage.press("6")
        await stage.until(lambda: "storage is away [request req-7f3a]" in stage.shown())
        await stage.press("exclamation_mark")
        await stage.until(lambda: "✗ control" in stage.shown())


async def test_too_small_is_one_sentence(server: ConsoleServer) -> None:
    async with on_stage(server, size=(50, 12)) as stage:
        assert "This window is 50x12; the console needs 60x16." in stage.shown()


HOSTILE = (
    "[/ [r [type=x, v={'a[0]'}] [red]x[/red] [@click=app.quit]x[/] \x1b]52;c;aGk=\x07 \x9b31m "
    "\u202egpj.exe a\u200bb é日本 [/] [$error] {x} %s \\[b] \ud800"
)


async def test_hostile_text_in_every_widget(server: ConsoleServer) -> None:
    nasty = HOSTILE
    server.jobs = {
        "J-1": facts.job(
            1, signature_text=nasty, route="/" + nasty, rule=nasty, evidence=[nasty], summary=nasty
        )
    }
    patch = facts.patch(
        1, description=nasty, created_by=nasty, diff=facts.DIFF + nasty, files_changed=[nasty]
    )
    server.patches = {"P-1": proven(patch)}
    server.items = {"A-5": facts.approval(5, summary=nasty, details={nasty: nasty})}
    server.audit = [
        facts.audit_entry(1, actor=nasty, action=nasty, subject=nasty, reason=nasty, after=nasty)
    ]
    server.health = facts.health(service=nasty[:20], environment=nasty)
    async with on_stage(server) as stage:
        for key in "24765":
            await stage.press(key)
            await stage.pilot.pause()
        await stage.press("enter", "4", "enter", "escape")
        await stage.review()
        await stage.press("A")
        await stage.until(lambda: isinstance(stage.app.screen, ConfirmScreen))
        await stage.press("escape", "1")
        stage.app.say(nasty.encode("ascii", "ignore").decode(), bad=True)
        await stage.press("exclamation_mark")
        await stage.pilot.pause()
        assert not set(stage.shown()) & set("\x9b\u202e\u200b")


async def test_a_refused_token_is_said_and_not_tried_again(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        server.broken["/events"] = Problem(401, "this token is not known here")
        server.drop_streams()
        await stage.until(lambda: stage.app.state.connection.kind == "refused")
        tries = sum(path == "/events" for _, path, _, _ in server.seen)
        await asyncio.sleep(0.7)
        assert sum(path == "/events" for _, path, _, _ in server.seen) == tries
        await stage.until(lambda: "token refused" in stage.shown())


async def test_no_colour_stays_legible(
    server: ConsoleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with on_stage(server) as stage:
        await stage.press("2")
        for theme in ("dark", "light", "colourblind"):
            stage.app.theme = theme
            await stage.pilot.pause()
            for strip in stage.app.screen._compositor.render_strips(stage.app.size):
                for segment in strip:
                    style = segment.style
                    if segment.text.strip() and style and style.color and style.bgcolor:
                        assert style.color != style.bgcolor, segment
            assert "▸ J-1" in stage.shown()


async def test_q_leaves(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("q")
        await stage.until(lambda: stage.app.return_value == 0)


async def test_an_approval_is_signed_with_the_founder_s_key(
    server: ConsoleServer, tmp_path: Path
) -> None:
    key = tmp_path / "id_ed25519"
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    await asyncio.to_thread(subprocess.run, made, check=True)
    server.patches["P-1"] = proven(facts.patch(1))
    async with on_stage(server, sign_with=str(key)) as stage:
        await stage.review()
        await stage.press("A")
        await stage.armed()
        await stage.press("y")
        await stage.until(lambda: server.patches["P-1"].status == "approved")
        signature = stage.sent()[0][1]["signature"]
    public = key.with_suffix(".pub").read_text().split()[:2]
    (tmp_path / "signers").write_text(f'ada namespaces="{NAMESPACE}" {" ".join(public)}\n')
    (tmp_path / "signature").write_text(signature)
    check = [
        *("ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", "ada"),
        *("-n", NAMESPACE, "-s", str(tmp_path / "signature")),
    ]
    shown = text_to_sign(proven(facts.patch(1)))
    verified = await asyncio.to_thread(subprocess.run, check, input=shown, capture_output=True)
    assert verified.returncode == 0, verified.stderr
    forged = await asyncio.to_thread(subprocess.run, check, input=shown + b" ", capture_output=True)
    assert forged.returncode != 0


async def test_a_key_that_is_not_there_approves_nothing(
    server: ConsoleServer, tmp_path: Path
) -> None:
    server.patches["P-1"] = proven(facts.patch(1))
    async with on_stage(server, sign_with=str(tmp_path / "none")) as stage:
        await stage.review()
        await stage.press("A")
        await stage.armed()
        await stage.press("y")
        await stage.until(lambda: any("did not sign" in toast for toast in stage.toasts()))
        assert stage.sent() == []
