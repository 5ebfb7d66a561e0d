"""`selfheal` and `python -m proxy`."""

import sys


def main() -> int:
    """The command line; exit codes stand in its `--help`."""
    argv = sys.argv[1:]
    if argv[:1] == ["up"]:
        # Traffic within a second: nothing but `up` itself is imported on this path.
        from proxy.app.up import main as up

        return up(argv[1:])
    from proxy.cli import main as cli

    return cli(argv)


if __name__ == "__main__":
    sys.exit(main())
