"""The command line: mounts the sidecar's commands and the console's, each imported when it is
called.

The one file that may know both sides. Words go to standard error, facts to standard output.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from proxy.errors import SelfHealError, UsageError

if TYPE_CHECKING:
    from io import BufferedReader
    from uuid import UUID

EXIT_CODES = """exit codes: 0 done, 1 check failed or refused, 2 usage, 69 sidecar or database out
of reach,
77 not permitted, 78 bad config"""

Subparsers = Any
"""argparse keeps the type of its sub-parser collection to itself."""


def build_parser() -> argparse.ArgumentParser:
    from console.cli import register as register_console
    from proxy.app import up

    parser = argparse.ArgumentParser(
        prog="selfheal",
        description="Sees what breaks behind it, proves a fix, and leaves the decision to you.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    sub = commands.add_parser("up", help="the sidecar in front of your app")
    up.add_arguments(sub)
    sub.set_defaults(func=up.run)

    _add_demo(commands)
    _add_offline(commands)
    _add_operations(commands)
    register_console(commands, verify_file=_audit_verify_file)
    return parser


class _Version(argparse.Action):
    """Asks for it only when it is wanted: the look into the installed packages takes its time."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from proxy.version import VERSION

        print(f"selfheal {VERSION}")
        parser.exit()


def _run_async(work: Coroutine[Any, Any, int]) -> int:
    """Only the commands that wait for something load the event loop."""
    import asyncio

    return asyncio.run(work)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; expected errors are one sentence and their own exit code."""
    args = build_parser().parse_args(argv)
    func: Callable[[argparse.Namespace], int] = args.func
    try:
        return func(args)
    except SelfHealError as error:
        sys.stderr.write(f"selfheal: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output left (`selfheal jobs | head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


# --- demo --------------------


def _add_demo(commands: Subparsers) -> None:
    from proxy.demo.arguments import add_arguments

    sub = commands.add_parser("demo", help="a faulty app, live traffic, and the whole story")
    add_arguments(sub)
    sub.set_defaults(func=_demo)


def _demo(args: argparse.Namespace) -> int:
    from proxy.demo.story import run_demo

    return run_demo(args)


# --- the proxy's own code on recorded input: no database, no network --------------------


def _add_offline(commands: Subparsers) -> None:
    sub = commands.add_parser(
        "classify", help="category, severity and signature of recorded errors"
    )
    sub.add_argument("file", nargs="?", type=Path, help="JSON lines; standard input without it")
    sub.add_argument("--rules", type=Path, action="append", default=[], help="your own rules first")
    sub.set_defaults(func=_classify)

    sub = commands.add_parser("detect", help="alerts the detector would have raised")
    sub.add_argument(
        "file", nargs="?", type=Path, help="recorded traffic, also .gz; standard input without it"
    )
    sub.add_argument(
        "--format",
        choices=("jsonl", "nginx", "apache"),
        default="jsonl",
        help="JSON lines (default), or a combined log whose last field is $request_time or %%D",
    )
    sub.add_argument("--config", type=Path, help="settings, as for `up`")
    sub.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        dest="sets",
        help="try a threshold: detector.latency_sigma=4",
    )
    sub.set_defaults(func=_detect)


def _open_input(stack: ExitStack, path: Path | None) -> "BufferedReader":
    if path is None:
        return cast("BufferedReader", sys.stdin.buffer)
    try:
        return stack.enter_context(path.open("rb"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def _classify(args: argparse.Namespace) -> int:
    from proxy.healing.classifier import ErrorClassifier
    from proxy.healing.classify import run_classify
    from proxy.healing.rules import RuleSet

    classifier = ErrorClassifier(RuleSet.load(*args.rules))
    with ExitStack() as stack:
        lines = (line.decode(errors="replace") for line in _open_input(stack, args.file))
        return run_classify(lines, classifier, sys.stdout, sys.stderr)


def _detect(args: argparse.Namespace) -> int:
    from proxy.config import load
    from proxy.observability.detect import run_detect
    from proxy.observability.recorded import lines_of

    settings = load(args.config, sets=args.sets).config.detector
    with ExitStack() as stack:
        lines = lines_of(_open_input(stack, args.file))
        report = run_detect(lines, settings, sys.stdout, format=args.format, err=sys.stderr)
    return 1 if report.bad and not report.requests else 0


# --- operations --------------------


def _add_operations(commands: Subparsers) -> None:
    sub = commands.add_parser("config", help="every setting with value, origin and reason")
    actions = sub.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser("show", help="all settings in force")
    explain = actions.add_parser("explain", help="one setting: value, origin, reason")
    explain.add_argument("key", metavar="SECTION.KEY")
    check = actions.add_parser("check", help="read a file as `up` would and say what is wrong")
    check.add_argument("file", type=Path, help="settings, or the founder's rules")
    check.add_argument(
        "--cases",
        nargs="?",
        const="",
        metavar="FILE",
        help="try the rules on cases: those of FILE, else the [[cases]] beside the rules",
    )
    for action, func in ((show, _config_show), (explain, _config_explain), (check, _config_check)):
        if action is not check:
            action.add_argument("--config", type=Path)
            action.add_argument(
                "--set", metavar="SECTION.KEY=VALUE", action="append", default=[], dest="sets"
            )
        action.add_argument("--json", action="store_true")
        action.set_defaults(func=func)

    sub = commands.add_parser("migrate", help="bring the database to this version")
    _add_database_options(sub)
    sub.set_defaults(func=_migrate)

    sub = commands.add_parser("doctor", help="what runs here, and what is missing")
    _add_database_options(sub)
    sub.add_argument("--url", help="the control API (default: the running sidecar's)")
    sub.add_argument(
        "--governance",
        action="store_true",
        help="attack a scratch installation as every role, and compare it with this one",
    )
    sub.set_defaults(func=_doctor)

    sub = commands.add_parser("member", help="who may act")
    actions = sub.add_subparsers(metavar="ACTION", required=True)
    add = actions.add_parser("add", help="a new member; the token is shown once")
    add.add_argument("name")
    add.add_argument("--role", choices=("founder", "admin", "agent", "viewer"), required=True)
    add.add_argument(
        "--identity",
        type=_identity,
        metavar="ID",
        help="who that is in public.profiles (auth.uid()), where the application has one",
    )
    _add_database_options(add)
    add.set_defaults(func=_member_add)
    link = actions.add_parser("link", help="who a member is in the application's public.profiles")
    link.add_argument("name")
    link.add_argument("--identity", type=_identity, metavar="ID", required=True)
    _add_database_options(link)
    link.set_defaults(func=_member_link)
    remove = actions.add_parser("remove", help="take profile, login and token, at once")
    remove.add_argument("name")
    _add_database_options(remove)
    remove.set_defaults(func=_member_remove)

    sub = commands.add_parser("db", help="the embedded PostgreSQL")
    actions = sub.add_subparsers(metavar="ACTION", required=True)
    stop = actions.add_parser("stop", help="stop it by hand")
    _add_database_options(stop)
    stop.set_defaults(func=_db_stop)


def _add_database_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, metavar="DIR")
    parser.add_argument("--database-url", metavar="DSN")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--json", action="store_true")


def _config_show(args: argparse.Namespace) -> int:
    from proxy.app.settings import describe

    rows = describe(args.config, args.sets)
    if args.json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        for row in rows:
            print(f"{row.key} = {json.dumps(row.value)}  ({row.origin})  # {row.reason}")
    return 0


def _config_explain(args: argparse.Namespace) -> int:
    from proxy.app.settings import describe

    for row in describe(args.config, args.sets):
        if row.key == args.key:
            print(
                json.dumps(row._asdict())
                if args.json
                else f"{row.key} = {json.dumps(row.value)}\norigin: {row.origin}\nwhy: {row.reason}"
            )
            return 0
    raise UsageError(f"there is no setting {args.key!r}; `selfheal config show` lists them")


def _config_check(args: argparse.Namespace) -> int:
    from proxy.config import load
    from proxy.dataplane.tls import read_pem
    from proxy.founder.cases import check_rules, is_rules

    if args.cases is not None or is_rules(args.file):
        return check_rules(args.file, args.cases, as_json=args.json)
    read_pem(load(args.file).config)
    print(json.dumps({"file": str(args.file), "ok": True}) if args.json else f"{args.file}: good")
    return 0


def _migrate(args: argparse.Namespace) -> int:
    from proxy.app.operations import migrate

    return _run_async(migrate(args))


def _doctor(args: argparse.Namespace) -> int:
    if args.governance:
        from proxy.app.governance.examine import run

        return run(args)
    from proxy.app.doctor import doctor

    return doctor(args)


def _identity(text: str) -> "UUID":
    from uuid import UUID

    return UUID(text)


def _member_add(args: argparse.Namespace) -> int:
    from proxy.app.operations import member_add

    return _run_async(member_add(args))


def _member_link(args: argparse.Namespace) -> int:
    from proxy.app.operations import member_link

    return _run_async(member_link(args))


def _member_remove(args: argparse.Namespace) -> int:
    from proxy.app.operations import member_remove

    return _run_async(member_remove(args))


def _audit_verify_file(args: argparse.Namespace) -> int:
    """`audit verify FILE`: the exported chain, without a database and without a sidecar."""
    from proxy.store.audit import read_heads, verify_export

    with ExitStack() as stack:
        heads = []
        if getattr(args, "head", None):
            kept = _open_input(stack, Path(args.head))
            heads = read_heads(line.decode(errors="replace") for line in kept)
        lines = (line.decode() for line in _open_input(stack, Path(args.file)))
        found = verify_export(lines, heads)
    facts = {
        "ok": found.ok,
        "entries": found.entries,
        "head": found.head,
        "first_bad": found.first_bad,
    }
    if getattr(args, "json", False):
        print(json.dumps(facts))
    elif found.ok:
        print(f"the chain holds: {found.entries} entries, head {found.head}")
    else:
        print(f"the chain is broken at entry {found.first_bad} of {found.entries}")
    return 0 if found.ok else 1


def _db_stop(args: argparse.Namespace) -> int:
    from proxy.app.operations import db_stop

    return db_stop(args)
