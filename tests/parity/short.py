"""Short forms that the pages of legal messages share."""

from tests.parity.case import Answers, Case, Step, Want
from tests.parity.messages import OK, always, get
from tests.parity.wants import passed

_OK = always(OK)
_GET = get()


def named(prefix: str, text: bytes) -> str:
    """A case's name, with the first bytes of what it is about."""
    return f"{prefix} {text[:44]!r}"


def asked(name: str, send: bytes, want: Want = passed, answers: Answers = _OK) -> Case:
    """One write of a client."""
    return Case(name, (send,), want, answers)


def answered(name: str, want: Want, *steps: Step, ask: bytes = _GET) -> Case:
    """One answer of an app."""
    return Case(name, (ask,), want, always(*steps))
