"""The words of `selfheal demo`, apart from the story so that `--help` imports nothing."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--headless",
        action="store_true",
        help="tell the story and take the decisions through the public commands",
    )
    parser.add_argument(
        "--json", action="store_true", help="with --headless: the last line of stdout is the result"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="keep everything here for a look afterwards (a new or empty folder)",
    )
