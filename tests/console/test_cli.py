"""The plain commands, whole: words in, API over a real socket, text and exit code out."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from console.cli import register
from console.doing import parse_duration
from proxy.contract.patches import RiskView
from proxy.errors import UsageError
from tests.support import console_facts as facts
from tests.support.console_server import TOKEN, ConsoleServer, Problem, proven

JOB_KEYS = {
    "id",
    "service",
    "method",
    "route",
    "category",
    "severity",
    "status",
    "occurrences",
    "first_seen",
    "last_seen",
    "signature",
    "signature_text",
    "rule",
    "evidence",
    "regression",
    "noise",
}
Ran = tuple[int, str, str]
Cli = Callable[..., Awaitable[Ran]]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="selfheal")
    register(parser.add_subparsers(required=True), verify_file=lambda args: 42)
    return parser.parse_args(argv)


@pytest.fixture
def cli(server: ConsoleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    token = tmp_path / "token"
    token.write_text(TOKEN)

    async def call(*argv: str, token_file: Path = token, url: str = "") -> Ran:
        where = ["--url", url or server.url, "--token-file", str(token_file)]
        args = parse([*argv, *where])
        code: int = await asyncio.to_thread(args.func, args)
        out, err = capsys.readouterr()
        return code, out, err

    return call


# --- reading ------------------------------------------------------------------------------------


async def test_jobs_as_json_lines(cli: Cli) -> None:
    code, out, err = await cli("jobs", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, err, [row["id"] for row in rows]) == (0, "", ["J-1", "J-2", "J-3", "J-4"])
    assert all(set(row) >= JOB_KEYS for row in rows)


async def test_jobs_as_text(cli: Cli) -> None:
    code, out, _ = await cli("jobs")
    assert code == 0
    assert "J-2  ■CRIT     DB_ERROR" in out
    assert "GET /orders/{id}" in out


async def test_a_number_that_is_not_shown_is_not_lost(cli: Cli, server: ConsoleServer) -> None:
    _, _, err = await cli("jobs")
    assert "not shown" not in err
    del server.jobs["J-3"]
    _, _, err = await cli("jobs")
    assert err.startswith("1 job number not shown: --all lists")
    _, _, err = await cli("jobs", "--severity", "critical")
    assert "not shown" not in err


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--severity", "critical"], ["J-2"]),
        (["--category", "UI_BUG"], ["J-4"]),
        (["--status", "snoozed"], ["J-4"]),
        (["-q", "hook"], ["J-3"]),
        (["--limit", "2"], ["J-1", "J-2"]),
        (["--all"], ["J-1", "J-2", "J-3", "J-4"]),
        (["--noise"], []),
    ],
)
async def test_job_filters(cli: Cli, flags: list[str], wanted: list[str]) -> None:
    _, out, _ = await cli("jobs", "--json", *flags)
    assert [json.loads(line)["id"] for line in out.splitlines()] == wanted


async def test_jobs_page_by_page(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.reading.PAGE", 3)
    _, out, _ = await cli("jobs", "--json")
    assert len(out.splitlines()) == 4


@pytest.mark.parametrize(
    "argv",
    [
        ["show", "J-1"],
        ["health"],
        ["audit", "verify"],
        ["diff", "P-1"],
        ["digest"],
        ["ask", "what's", "broken?"],
    ],
)
async def test_one_document(cli: Cli, argv: list[str]) -> None:
    code, out, err = await cli(*argv, "--json")
    assert (code, err) == (0, "")
    assert isinstance(json.loads(out), dict)
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["patches"], 2),
        (["patches", "J-1"], 2),
        (["routes"], 3),
        (["anomalies"], 1),
        (["audit"], 3),
        (["audit", "list"], 3),
        (["audit", "export"], 3),
        (["approvals"], 2),
        (["approvals", "--all"], 2),
    ],
)
async def test_json_lines(cli: Cli, argv: list[str], lines: int) -> None:
    code, out, _ = await cli(*argv, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, len(rows)) == (0, lines)


async def test_export_is_oldest_first(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.auditing.PAGE", 2)
    _, out, _ = await cli("audit", "export")
    assert [json.loads(line)["seq"] for line in out.splitlines()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["show", "J-1"], "TypeError: unsupported operand"),
        (["patches"], "app/checkout.py"),
        (["diff", "P-1"], '+    return amount * rate(cart.country or "DE")'),
        (["health"], "87 / 100"),
        (["routes"], "POST /checkout"),
        (["anomalies"], "6.2% errors"),
        (["approvals"], "patch_sandbox"),
        (["audit"], "approval.approve"),
        (["audit", "verify"], "chain unbroken"),
        (["ask", "why"], "You asked: why."),
    ],
)
async def test_plain_text(cli: Cli, argv: list[str], said: str) -> None:
    code, out, _ = await cli(*argv)
    assert code == 0
    assert said in out


async def test_hostile_text_reaches_no_terminal(cli: Cli, server: ConsoleServer) -> None:
    nasty = "\x1b]0;owned\x07\u202e\x9b31m\nsecond [/red]"
    server.jobs = {"J-1": facts.job(1, signature_text=nasty, route="/\x1b[2J")}
    server.patches = {"P-1": facts.patch(1, description=nasty, diff=facts.DIFF + nasty)}
    for argv in (["jobs"], ["jobs", "--json"], ["show", "J-1"], ["patches"], ["diff", "P-1"]):
        _, out, err = await cli(*argv)
        assert not set(out + err) & set("\x1b\x07\u202e\x9b"), argv


async def test_with_heads_the_whole_chain_is_fetched_and_checked_here(
    server: ConsoleServer, tmp_path: Path
) -> None:
    seen: list[int] = []

    def check(args: argparse.Namespace) -> int:
        lines = Path(args.file).read_text("utf-8").splitlines()
        seen.extend(json.loads(line)["seq"] for line in lines)
        return 43

    token = tmp_path / "token"
    token.write_text(TOKEN)
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers(required=True), verify_file=check)
    where = ["--url", server.url, "--token-file", str(token)]
    args = parser.parse_args(["audit", "verify", "--head", "heads.jsonl", *where])
    assert await asyncio.to_thread(args.func, args) == 43
    assert len(seen) > 1
    assert seen == sorted(seen)


async def test_a_file_is_verified_elsewhere() -> None:
    args = parse(["audit", "verify", "chain.jsonl"])
    assert args.func(args) == 42


# --- exit codes ---------------------------------------------------------------------------------


async def test_exit_codes(cli: Cli, server: ConsoleServer, tmp_path: Path) -> None:
    assert (await cli("show", "J-99"))[0] == 1
    assert (await cli("show", "P-1"))[0] == 2
    assert (await cli("jobs", url="http://127.0.0.1:1"))[0] == 69
    wrong = tmp_path / "wrong"
    wrong.write_text("founder:no")
    code, out, err = await cli("jobs", token_file=wrong)
    assert (code, out) == (77, "")
    assert "not known" in err
    server.broken["/health"] = Problem(503, "storage is away")
    code, _, err = await cli("health")
    assert (code, err) == (69, "selfheal: storage is away [request req-7f3a]\n")


# --- deeds --------------------------------------------------------------------------------------


async def test_the_whole_way_by_digest(cli: Cli, server: ConsoleServer) -> None:
    digest = facts.digest("P-1")
    code, out, _ = await cli("sandbox", "P-1")
    assert code == 0
    assert "✓ fixed: with the patch it is gone" in out
    assert "PASSED" in out
    assert (await cli("approve", "P-1", "--yes-digest", digest))[0] == 0
    code, out, _ = await cli("apply", "P-1", "--yes-digest", digest)
    assert (code, server.patches["P-1"].status) == (0, "applied")
    assert "commit c0ffee" in out
    assert (await cli("rollback", "P-1", "--yes-digest", digest))[0] == 0
    bodies = [body for method, _, _, body in server.seen if method == "POST"]
    assert [body["interactive"] for body in bodies] == [False] * 4
    assert len({body["idempotency_key"] for body in bodies}) == 4


async def test_a_failed_proof_is_exit_1(cli: Cli, server: ConsoleServer) -> None:
    server.proof_passes = False
    code, out, _ = await cli("sandbox", "P-1")
    assert code == 1
    assert "✗ not fixed" in out
    assert "FAILED: The failure is still there" in out
    assert "| E   assert None == 0" in out


async def test_a_second_run_waits_for_the_new_evidence(cli: Cli, server: ConsoleServer) -> None:
    server.patches["P-1"] = proven(facts.patch(1), passed=False)
    assert (await cli("sandbox", "P-1"))[0] == 0


async def test_heavy_deeds_need_a_terminal_or_the_flag(cli: Cli, server: ConsoleServer) -> None:
    server.patches["P-1"] = facts.patch(1, status="approved")
    server.patches["P-2"] = proven(facts.patch(2, risk=RiskView(score=55, level="high")))
    for argv in (["apply", "P-1"], ["approve", "P-2"]):
        code, _, err = await cli(*argv)
        assert code == 2
        assert "--yes-digest" in err
    assert not [row for row in server.seen if row[0] == "POST"]


async def test_a_stale_or_broken_digest_does_nothing(cli: Cli, server: ConsoleServer) -> None:
    server.patches["P-1"] = facts.patch(1, status="approved")
    assert (await cli("apply", "P-1", "--yes-digest", "0" * 64))[0] == 1
    assert (await cli("apply", "P-1", "--yes-digest", "abc"))[0] == 2
    assert server.patches["P-1"].status == "approved"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["approve", "P-1"], "selfheal sandbox P-1"),
        (["apply", "P-1"], "it needs a proof and a yes; run `selfheal sandbox P-1`"),
        (["rollback", "P-1"], "only an applied patch"),
        (["approve", "A-9"], "there is no A-9"),
    ],
)
async def test_too_early_says_what_comes_first(cli: Cli, argv: list[str], said: str) -> None:
    code, _, err = await cli(*argv)
    assert code == 1
    assert said in err


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("sandbox_running", "wait for its outcome"),
        ("sandbox_passed", "run `selfheal approve P-1`"),
        ("superseded", "P-1 is superseded; there is nothing to apply"),
        ("verified", "it is on MAIN already"),
    ],
)
async def test_what_cannot_be_applied_says_why(
    cli: Cli, server: ConsoleServer, status: str, said: str
) -> None:
    server.patches["P-1"] = facts.patch(1, status=status)
    code, _, err = await cli("apply", "P-1")
    assert code == 1
    assert said in err


async def test_reject_closes_or_keeps(cli: Cli, server: ConsoleServer) -> None:
    code, out, err = await cli("reject", "P-1", "--reason", "too wide", "--keep-open")
    assert (code, out) == (0, "P-1 is rejected\n")
    assert err.startswith(f"J-1 is {server.jobs['J-1'].status.replace('_', ' ')}")
    sent = next(body for method, _, _, body in server.seen if method == "POST")
    assert (sent["decision"], sent["reason"], sent["keep_job_open"]) == ("reject", "too wide", True)


async def test_any_item_takes_a_decision(cli: Cli, server: ConsoleServer) -> None:
    server.items = {f"A-{n}": facts.approval(n, "campaign") for n in (50, 51)}
    assert (await cli("approve", "A-50"))[0] == 0
    assert (await cli("reject", "A-51", "--reason", "no"))[0] == 0
    assert [server.items[k].status for k in ("A-50", "A-51")] == ["approved", "rejected"]


async def test_no_answer_is_asked_again_with_the_same_key(cli: Cli, server: ConsoleServer) -> None:
    server.answerless = 1
    code, _, err = await cli("sandbox", "P-1")
    assert code == 0
    assert "unknown, checking" in err
    keys = [body["idempotency_key"] for method, _, _, body in server.seen if method == "POST"]
    assert (len(keys), len(set(keys))) == (2, 1)


async def test_care_of_jobs(cli: Cli, server: ConsoleServer) -> None:
    code, out, _ = await cli("snooze", "J-1", "--for", "2h")
    assert (code, out[:24]) == (0, "J-1 is left alone until ")
    assert server.jobs["J-1"].snoozed_until is not None
    assert (await cli("close", "2"))[:2] == (0, "J-2 is closed\n")
    assert (await cli("reopen", "J-2", "--json"))[0] == 0
    assert (await cli("close", "J-2"))[0] == 0
    assert (await cli("close", "J-2"))[0] == 1


async def test_a_release_is_marked(cli: Cli, server: ConsoleServer) -> None:
    code, out, _ = await cli("deploy", "v2.1")
    assert (code, out[:36]) == (0, "deploy v2.1 of shop marked at 2026-1")
    code, out, _ = await cli("deploy", "--json")
    assert (code, json.loads(out)["version"]) == (0, "")
    assert [body for method, path, _, body in server.seen if path.endswith("/deploys")] == [
        {"version": "v2.1"},
        {"version": ""},
    ]


async def test_attach(cli: Cli, server: ConsoleServer, tmp_path: Path) -> None:
    diff = tmp_path / "fix.diff"
    diff.write_text(facts.DIFF)
    code, out, _ = await cli("attach", "J-1", "--diff", str(diff), "--base", "77b0e2f")
    assert (code, out) == (0, "P-3 is attached to J-1: risk low\n")
    assert server.patches["P-3"].diff == facts.DIFF
    assert (await cli("attach", "J-1"))[0] == 2
    assert (await cli("attach", "J-1", "--diff", str(tmp_path / "no")))[0] == 2
    diff.write_bytes(b"\xff\xfe")
    assert (await cli("attach", "J-1", "--diff", str(diff)))[0] == 1
    diff.write_text("nothing")
    code, _, err = await cli("attach", "J-1", "--diff", str(diff))
    assert (code, "no hunk" in err) == (1, True)


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d12h", 129_600)],
)
def test_durations(shown: str, wanted: int) -> None:
    assert parse_duration(shown) == timedelta(seconds=wanted)


@pytest.mark.parametrize("shown", ["", "2", "h", "2h!", "-2h", "0s", "400d", "9" * 20 + "d"])
def test_bad_durations(shown: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(shown)


async def test_the_console_wants_a_terminal(cli: Cli) -> None:
    code, _, err = await cli("console")
    assert code == 2
    assert "needs a terminal" in err
