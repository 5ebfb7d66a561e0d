"""Same bug, same signature; what names the bug tells bugs apart."""

import os
import subprocess
import sys

import pytest

from proxy.healing.classifier import ErrorClassifier
from proxy.healing.rules import Example, RuleSet

CLASSIFIER = ErrorClassifier(RuleSet.load())
STACK = "at Cart (./src/{0}.tsx:{1}:21)\nat renderWithHooks (./node_modules/react-dom/x.js:{1}:18)"


def _of(example: Example) -> str:
    return CLASSIFIER.classify(example.failure()).signature


SAME = [
    (Example("Error: jwt expired"), Example("Uncaught error: JWT expired")),
    (
        Example("42501: new row violates row-level security policy"),
        Example("new row violates row-level security policy"),
    ),
    (
        Example('policy for relation "t" violates rls policy'),
        Example("policy for relation t violates rls policy"),
    ),
    (Example("child 2082 died on 192.0.2.1:80"), Example("child 77 died on 192.0.2.9:8080")),
    (
        Example("Key (id)=(1) already exists. duplicate key error"),
        Example("Key (id)=(2) already exists. duplicate key error"),
    ),
    (
        Example("Duplicate entry '1' for key 'users.mail'"),
        Example("Duplicate entry '22' for key 'users.mail'"),
    ),
    (
        Example("job 7f9c24e8-1b2a-4c3d-8e4f-5a6b7c8d9e0f broke"),
        Example("job 00000000-1b2a-4c3d-8e4f-5a6b7c8d9e0f broke"),
    ),
    (Example("timeout of 1000ms exceeded"), Example("timeout of 30.5 s exceeded")),
    (
        Example("x broke", stack=STACK.format("Cart", 3)),
        Example("x broke", stack=STACK.format("Cart", 99)),
    ),
    (
        Example("504 Gateway Timeout", status=504, route="/o/1"),
        Example("504 gateway timeout", status=504, route="/o/22"),
    ),
    (Example("GET /app/main.0a1b2c3d.js failed"), Example("GET /app/main.99ffee00.js failed")),
]
APART = [
    (Example('relation "a" does not exist'), Example('relation "b" does not exist')),
    (
        Example("Cannot read properties of undefined (reading 'a')"),
        Example("Cannot read properties of undefined (reading 'b')"),
    ),
    (Example("Minified React error #418"), Example("Minified React error #423")),
    (
        Example("x broke", stack=STACK.format("Cart", 3)),
        Example("x broke", stack=STACK.format("Profile", 3)),
    ),
    (
        Example("504 Gateway Timeout", status=504, route="/a"),
        Example("504 Gateway Timeout", status=504, route="/b"),
    ),
    (Example("reset reason: overflow"), Example("reset reason: connection timeout")),
    (Example("Invalid `prisma.x()`: P2002"), Example("Invalid `prisma.x()`: P2003")),
    (
        Example(
            "x",
            body='{"code":"42P17","message":"infinite recursion '
            'detected in policy for relation \\"a\\""}',
        ),
        Example(
            "x",
            body='{"code":"42P17","message":"infinite recursion '
            'detected in policy for relation \\"b\\""}',
        ),
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_bug_has_one_signature(one: Example, other: Example) -> None:
    assert _of(one) == _of(other)


@pytest.mark.parametrize(("one", "other"), APART)
def test_two_bugs_have_two(one: Example, other: Example) -> None:
    assert _of(one) != _of(other)


def test_it_is_versioned_and_readable() -> None:
    found = CLASSIFIER.classify(Example('relation "orders" does not exist').failure())
    version, _, digest = found.signature.partition(":")
    assert version == "v1"
    assert len(digest) == 24
    assert int(digest, 16) >= 0
    assert found.signature_text == "DB_ERROR | relation orders does not exist"


def test_it_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from proxy.healing.classifier import ErrorClassifier\n"
        "from proxy.healing.rules import Example, RuleSet\n"
        "c = ErrorClassifier(RuleSet.load())\n"
        "for m in ('jwt expired deadlock detected timeout "
        "hydration', 'csrf zoderror timed out enospc'):\n"
        "    x = c.classify(Example(m).failure()); print(x.rule, x.signature, x.evidence)\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(seen) == 1


@pytest.mark.parametrize("file", ["shop/catalogue.py", "app.py"])
def test_where_the_app_is_installed_is_no_part_of_the_bug(file: str) -> None:
    """The host's folder, a container's, and /src in the sandbox's jail."""
    frame = 'Traceback (most recent call last):\n  File "{}/{}", line 3, in product\nValueError: no'
    keys = {
        _of(Example("ValueError: no", stack=frame.format(root, file)))
        for root in ("/srv/releases/41/repo", "/app", "/src")
    }
    assert len(keys) == 1
