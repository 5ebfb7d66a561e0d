"""The console's plain commands, mounted into the command line by ``register``. Cheap to import:
what a command needs is loaded when it runs, and Textual only by ``console``.
"""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, NamedTuple

Handler = Callable[[Any, argparse.Namespace], Awaitable[int]]
Subparsers = Any
"""What ``add_subparsers`` returns; argparse keeps the class to itself."""


class Flag(NamedTuple):
    name: str
    help: str
    more: dict[str, Any]


class Command(NamedTuple):
    """``module:function`` is loaded when the command runs. ``subject`` names the id it wants, if
    any.
    """

    name: str
    help: str
    run: str
    reads: bool = True
    flags: tuple[Flag, ...] = ()


def _flag(name: str, help: str, **more: Any) -> Flag:
    return Flag(name, help, more)


_JOB = _flag("job", "the job, J-1 or 1", metavar="J-1")
_PATCH = _flag("patch", "the patch, P-1 or 1", metavar="P-1")
_ITEM = _flag("item", "a patch P-1 or another item A-1", metavar="P-1|A-1")
_YES = _flag(
    "--yes-digest",
    "answer by this digest instead of being asked; recorded as non-interactive",
    metavar="DIGEST",
)
_REASON = _flag("--reason", "why; kept in the audit", metavar="TEXT")
_SIGN = _flag("--sign", "sign the yes with this SSH key (Ed25519)", metavar="KEYFILE")
_WAIT = _flag(
    "--wait",
    "how long to wait for the outcome (default %(default)s)",
    metavar="SECONDS",
    type=float,
    default=600.0,
)
_TYPES = ("code", "sql_migration", "config", "dependency", "test", "manual")

COMMANDS: tuple[Command, ...] = (
    Command(
        "jobs",
        "what is broken: the open jobs",
        "console.reading:jobs",
        flags=(
            _flag("--all", "every job, closed ones too", action="store_true"),
            _flag("--noise", "what was recognised as nobody's bug", action="store_true"),
            _flag("--status", "only this status", metavar="STATUS"),
            _flag("--severity", "only this severity", metavar="SEVERITY"),
            _flag("--category", "only this category", metavar="CATEGORY"),
            _flag("-q", "only with this text", metavar="TEXT"),
            _flag("--limit", "at most so many", metavar="N", type=int),
        ),
    ),
    Command("show", "one job with its evidence and history", "console.reading:show", flags=(_JOB,)),
    Command(
        "patches",
        "the proposed patches, of one job or of all",
        "console.reading:patches",
        flags=(_flag("job", "only of this job", metavar="J-1", nargs="?"),),
    ),
    Command("diff", "what a patch changes", "console.reading:diff", flags=(_PATCH,)),
    Command("health", "the score, what cost points, the traffic", "console.reading:health"),
    Command("routes", "routes with rates and quantiles", "console.reading:routes"),
    Command("anomalies", "latency and error-rate incidents", "console.reading:anomalies"),
    Command(
        "approvals",
        "what waits for a yes",
        "console.reading:approvals",
        flags=(_flag("--all", "decided ones too", action="store_true"),),
    ),
    Command(
        "ask",
        "ask Phill",
        "console.reading:ask",
        flags=(_flag("text", "the question", metavar="TEXT", nargs="+"),),
    ),
    Command("digest", "the twin's digest: what matters now", "console.reading:digest"),
    Command(
        "sandbox",
        "pass gate sandbox and run the proof",
        "console.doing:sandbox",
        reads=False,
        flags=(_PATCH, _YES, _WAIT),
    ),
    Command(
        "approve",
        "pass gate main (moves nothing), or say yes to an item",
        "console.doing:approve",
        reads=False,
        flags=(_ITEM, _YES, _REASON, _SIGN),
    ),
    Command(
        "apply",
        "move MAIN to the approved patch",
        "console.doing:apply",
        reads=False,
        flags=(_PATCH, _YES, _WAIT),
    ),
    Command(
        "reject",
        "say no to a patch or an item",
        "console.doing:reject",
        reads=False,
        flags=(
            _ITEM,
            _flag("--reason", "why; kept in the audit", metavar="TEXT", required=True),
            _flag("--keep-open", "the job stays open", action="store_true"),
            _YES,
        ),
    ),
    Command(
        "rollback",
        "take an applied patch off MAIN",
        "console.doing:rollback",
        reads=False,
        flags=(_PATCH, _YES, _WAIT, _REASON),
    ),
    Command(
        "break-glass",
        "past gate main without a proof: the founder, with a reason, for all to see",
        "console.alerts:break_glass",
        reads=False,
        flags=(
            _PATCH,
            _flag("--reason", "why; at least ten characters", metavar="TEXT", required=True),
            _YES,
            _SIGN,
        ),
    ),
    Command("alerts", "what must be seen and nobody acknowledged", "console.alerts:alerts"),
    Command(
        "acknowledge",
        "seen: it is told no more",
        "console.alerts:acknowledge",
        reads=False,
        flags=(
            _flag("subject", "what `alerts` names", metavar="J-1|P-1|A-1"),
            _flag("--note", "what you make of it", metavar="TEXT", default=""),
        ),
    ),
    Command(
        "snooze",
        "leave a job alone for a while",
        "console.doing:snooze",
        reads=False,
        flags=(
            _JOB,
            _flag("--for", "30m, 2h, 1d", metavar="TIME", dest="duration", required=True),
            _REASON,
        ),
    ),
    Command("close", "close a job", "console.doing:close", reads=False, flags=(_JOB, _REASON)),
    Command(
        "reopen", "open a job again", "console.doing:reopen", reads=False, flags=(_JOB, _REASON)
    ),
    Command(
        "merge",
        "two jobs are one bug: the second counts on the first",
        "console.doing:merge",
        reads=False,
        flags=(_JOB, _flag("other", "the job that joins it", metavar="J-2"), _REASON),
    ),
    Command(
        "split",
        "take one event, and all like it, out of a job",
        "console.doing:split",
        reads=False,
        flags=(
            _JOB,
            _flag("--event", "an event of `show`", metavar="ID", required=True),
            _REASON,
        ),
    ),
    Command(
        "deploy",
        "mark a release of the app",
        "console.doing:deploy",
        reads=False,
        flags=(_flag("version", "what the release is called", nargs="?", default=""),),
    ),
    Command(
        "attach",
        "attach a patch to a job",
        "console.doing:attach",
        reads=False,
        flags=(
            _JOB,
            _flag("--diff", "a unified diff; - reads standard input", metavar="FILE"),
            _flag("--sql", "a SQL migration", metavar="FILE"),
            _flag("--base", "the commit it was made on", metavar="COMMIT"),
            _flag("--description", "what it does", metavar="TEXT", default=""),
            _flag("--type", "its kind", choices=_TYPES, dest="patch_type", default="code"),
        ),
    ),
)


def add_connection_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which sidecar")
    group.add_argument("--url", metavar="URL", help="the control API, http://127.0.0.1:9900")
    group.add_argument("--token-file", metavar="FILE", help="a file that holds name:secret")
    group.add_argument("--data-dir", metavar="DIR", help="the sidecar's data directory")


def register(
    subparsers: Subparsers,
    *,
    verify_file: Callable[[argparse.Namespace], int] | None = None,
) -> None:
    """Add every command; each subparser sets ``func(args) -> exit code``.

    ``verify_file`` takes over ``audit verify FILE``: an exported chain is checked without a
    sidecar.
    """
    for command in COMMANDS:
        _add(subparsers, command)
    _add_console(subparsers)
    _add_audit(subparsers, verify_file)


def _add(subparsers: Subparsers, command: Command) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        command.name, help=command.help, description=command.help
    )
    for flag in command.flags:
        parser.add_argument(flag.name, help=flag.help, **flag.more)
    parser.add_argument("--json", action="store_true", help="JSON on stdout, words on stderr")
    add_connection_flags(parser)
    parser.set_defaults(func=lambda args: run(command.run, args))
    return parser


def _add_console(subparsers: Subparsers) -> None:
    about = "the terminal console"
    parser = subparsers.add_parser("console", help=about, description=about)
    parser.add_argument("--read-only", action="store_true", help="no key can change anything")
    parser.add_argument("--calm", action="store_true", help="no animation, one repaint a second")
    parser.add_argument("--theme", metavar="NAME", help="dark, light or colourblind")
    parser.add_argument(
        "--sign", metavar="KEYFILE", help="sign approvals at gate main with this SSH key"
    )
    add_connection_flags(parser)
    parser.set_defaults(func=open_console)


def _add_audit(
    subparsers: Subparsers, verify_file: Callable[[argparse.Namespace], int] | None
) -> None:
    about = "who did what: the audit chain"
    parser = subparsers.add_parser("audit", help=about, description=about)
    inner = parser.add_subparsers(dest="what", metavar="list|verify|export")
    listing = (
        _flag("--limit", "at most so many, newest first", metavar="N", type=int),
        _flag("-q", "only with this text", metavar="TEXT"),
    )
    _add(inner, Command("list", "the newest entries", "console.auditing:audit_list", flags=listing))
    export = "every entry as JSON lines, oldest first"
    _add(inner, Command("export", export, "console.auditing:audit_export"))
    live = Command("verify", "check the chain, live or exported", "console.auditing:audit_verify")
    verify = _add(inner, live)
    verify.add_argument("file", metavar="FILE", nargs="?", help="an exported chain")
    verify.add_argument(
        "--head",
        metavar="FILE",
        help="the heads kept outside the database: shows when the newest entries were cut off",
    )
    verify.set_defaults(func=lambda args: _verify(live.run, args, verify_file))
    parser.add_argument("--json", action="store_true", help="JSON on stdout, words on stderr")
    add_connection_flags(parser)
    parser.set_defaults(
        limit=None, q=None, func=lambda args: run("console.auditing:audit_list", args)
    )


def _verify(
    live: str,
    args: argparse.Namespace,
    verify_file: Callable[[argparse.Namespace], int] | None,
) -> int:
    if args.file is None and args.head is None:
        return run(live, args)
    if verify_file is None:
        print("this command line cannot check an exported chain", file=sys.stderr)
        return 2
    if args.file is not None:
        return verify_file(args)
    import tempfile

    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as kept:
        # the whole chain comes here: what is compared with the heads is not the server's word
        args.file, args.into = kept.name, kept
        fetched = run("console.auditing:audit_fetch", args)
        return fetched or verify_file(args)


def run(target: str, args: argparse.Namespace) -> int:
    """Load ``module:function`` and run it with a client; every expected error is one sentence on
    stderr.
    """
    from console.connection import find_connection
    from proxy.errors import SelfHealError

    try:
        # first of all: where no sidecar runs the answer needs nothing of what follows
        url, token = find_connection(args.url, args.token_file, args.data_dir)
        import asyncio

        return asyncio.run(_with_client(url, token, target, args))
    except SelfHealError as error:
        notes = "".join(f" [{note}]" for note in getattr(error, "__notes__", ()))
        print(f"selfheal: {error}{notes}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("selfheal: stopped; what was already sent may still happen", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has seen enough; the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


async def _with_client(url: str, token: str, target: str, args: argparse.Namespace) -> int:
    from console.client import Client

    module, _, name = target.partition(":")
    handler: Handler = getattr(import_module(module), name)
    async with Client(url, token) as client:
        return await handler(client, args)


def open_console(args: argparse.Namespace) -> int:
    """The one command that loads Textual, after its words have been understood."""
    from console.connection import find_connection
    from proxy.errors import SelfHealError

    try:
        url, token = find_connection(args.url, args.token_file, args.data_dir)
    except SelfHealError as error:
        print(f"selfheal: {error}", file=sys.stderr)
        return error.exit_code
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("selfheal: the console needs a terminal; `selfheal jobs` does not", file=sys.stderr)
        return 2
    from console.app import run_console

    return run_console(
        url,
        token,
        read_only=args.read_only,
        calm=args.calm,
        theme=args.theme,
        sign_with=args.sign,
    )
