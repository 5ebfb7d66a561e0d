"""Causes behind more frames than are read are moved to where they are read."""

from proxy.domain.failure import Category
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.facts.causes import with_causes
from proxy.healing.rules import Example, RuleSet


def _java(frames: int) -> str:
    own = "\n".join(f"\tat com.acme.Shop.step{n}(Shop.java:{n})" for n in range(frames))
    cause = "Caused by: java.sql.SQLException: ORA-00942: table or view does not exist"
    return f"java.lang.RuntimeException: failed\n{own}\n{cause}\n\tat com.acme.Db.run(Db.java:3)"


def test_a_short_stack_stays_as_it_is() -> None:
    assert with_causes(_java(3), 4000) == _java(3)


def test_the_last_cause_of_a_long_one_is_kept_within_the_room() -> None:
    kept = with_causes(_java(200), 1000)
    assert len(kept) <= 1000
    assert kept.startswith("java.lang.RuntimeException: failed")
    assert kept.endswith("ORA-00942: table or view does not exist")


def test_pythons_error_stands_last() -> None:
    frames = "\n".join(f'  File "/app/a{n}.py", line 1, in f' for n in range(200))
    stack = f"Traceback (most recent call last):\n{frames}\nKeyError: 'total'\n"
    assert with_causes(stack, 800).endswith("KeyError: 'total'")


def test_no_room_and_no_cause() -> None:
    assert with_causes("x" * 50, 0) == ""
    assert with_causes("x" * 50, 10) == "x" * 10


def test_it_decides() -> None:
    found = ErrorClassifier(RuleSet.load()).classify(
        Example("java.lang.RuntimeException: failed", stack=_java(150)).failure()
    )
    assert found.category is Category.DB_ERROR
