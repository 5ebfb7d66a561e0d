"""`selfheal demo`: the whole story, on a terminal with the console or headless with every step
proven.

Headless it takes the founder's decisions through the public commands, on its own repository only,
and exits 0 only if every step was seen to have happened. It decides nothing by what it knows of the
patches: it approves the one whose proof says so, and fails if that is not the right one.
"""

import argparse
import asyncio
import shutil
import signal
import sys

from proxy.demo.chapters import attach_proposals, tell
from proxy.demo.stage import RESTART_SIGNAL, Say, Stage
from proxy.errors import SelfHealError, UsageError
from proxy.tasks import cancel, spawn

FIRST_JOB_TRIES = 40
FIRST_JOB_PAUSE_S = 0.5
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_demo(args: argparse.Namespace) -> int:
    """The exit code:

    0 the whole story happened, 1 a step did not (said in one sentence), 128+n on a signal.
    """
    if args.json and not args.headless:
        raise UsageError("--json belongs to --headless: a console has no last line")
    if shutil.which("git") is None:
        raise SelfHealError("the demo needs git; install it (Debian: apt-get install git)")
    words = sys.stderr if args.json else sys.stdout

    def say(sentence: str) -> None:
        words.write(sentence + "\n")
        words.flush()

    return asyncio.run(_guarded(args, say))


async def _guarded(args: argparse.Namespace, say: Say) -> int:
    """The first stop signal cancels the story; its cleaning up is never interrupted by another."""
    loop, story = asyncio.get_running_loop(), asyncio.current_task()
    caught: list[int] = []

    def stop(number: int) -> None:
        if not caught and story is not None:
            caught.append(number)
            story.cancel()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await _run(args, say)
    except asyncio.CancelledError:
        say("Stopped; everything that was started has been ended.")
        return 128 + caught[0] if caught else 1


async def _run(args: argparse.Namespace, say: Say) -> int:
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not args.data_dir:
        say("Nothing of this is kept; with --data-dir DIR everything is.")
    async with Stage(args.data_dir, say) as stage:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(RESTART_SIGNAL, stage.restart_shop)
        try:
            await stage.set_up()
            if args.headless:
                result = await tell(stage, say)
            else:
                result = None
                await _watch(stage, say, console=at_terminal)
        finally:
            loop.remove_signal_handler(RESTART_SIGNAL)
    if args.data_dir:
        say(f"Everything lies in {stage.data_dir}; `selfheal db stop --data-dir {stage.data_dir}`")
        say("stops the database that still runs there for a look.")
    if args.json and result is not None:
        sys.stdout.write(result.as_json() + "\n")
        sys.stdout.flush()
    return 0


async def _watch(stage: Stage, say: Say, *, console: bool) -> None:
    """Attach the proposals in the background; open the console, or stay until somebody stops us."""
    say("Waiting for the first failing request to become a job.")
    await _first_job(stage)
    proposals = spawn(attach_proposals(stage, lambda _: None), name="demo proposals")
    try:
        if console:
            await _console(stage)
        else:
            say("No terminal here, so no console; Ctrl-C ends the demo.")
            say(f"`selfheal jobs --data-dir {stage.data_dir}` shows what is broken.")
            await asyncio.Event().wait()
    finally:
        await cancel(proposals)


async def _first_job(stage: Stage) -> None:
    """The console opens with something to look at;

    it opens all the same if nothing came in time.
    """
    for _ in range(FIRST_JOB_TRIES):
        if await stage.sidecar.ask("jobs"):
            return
        await asyncio.sleep(FIRST_JOB_PAUSE_S)


async def _console(stage: Stage) -> None:
    """In the foreground of this very terminal, which the console owns until it is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "console", "--data-dir", str(stage.data_dir))
    )
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
