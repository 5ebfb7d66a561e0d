"""JSON lines in, JSON lines out; bad lines are named and the rest is classified."""

import io
import json
import subprocess
import sys

import pytest

from proxy.healing.classifier import ErrorClassifier
from proxy.healing.classify import run_classify
from proxy.healing.rules import RuleSet

CLASSIFIER = ErrorClassifier(RuleSet.load())


def _run(*lines: str) -> tuple[int, list[dict[str, object]], str]:
    out, err = io.StringIO(), io.StringIO()
    code = run_classify(lines, CLASSIFIER, out, err)
    return code, [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


def test_one_line_one_answer() -> None:
    code, answers, err = _run(
        '{"id":"a","message":"jwt expired","status":401,"source_kind":"http","framework":"x"}', "\n"
    )
    assert (code, err) == (0, "")
    (answer,) = answers
    assert list(answer) == [
        "id",
        "category",
        "severity",
        "signature",
        "signature_text",
        "rule",
        "evidence",
    ]
    assert (answer["id"], answer["category"], answer["severity"]) == ("a", "AUTH_FAILURE", "medium")
    assert isinstance(answer["evidence"], list)
    assert all(isinstance(item, str) for item in answer["evidence"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100000, "not JSON|nested too deeply"),
        ('{"id":"x"}', "needs a message"),
        ('{"message":5}', "message is a text"),
        ('{"message":"m","status":"500"}', "status"),
        ('{"message":"m","source_kind":"moon"}', "source_kind"),
        ('{"message":"m","redirect_chain":[1]}', "redirect_chain"),
        ('{"message":"m","latency_ms":"1"}', "latency_ms"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_goes_on(line: str, told: str) -> None:
    code, answers, err = _run('{"message":"a"}', line, '{"message":"b"}')
    assert code == 1
    assert len(answers) == 2
    assert err.startswith("line 2: ")
    assert any(words in err for words in told.split("|"))


def test_hostile_bytes_do_not_reach_the_terminal() -> None:
    _, _, err = _run('{"message":"m","source_kind":"\\u001b]52;c;x"}', "\x1b{")
    assert "\x1b" not in err


def test_importing_it_stays_light() -> None:
    code = (
        "import sys, proxy.healing.classify, proxy.healing.rules\n"
        "print([m for m in ('pydantic', 'aiohttp', 'asyncpg', 'textual') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"
