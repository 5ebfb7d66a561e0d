"""Stretches: what came, halved from time to time, in whole numbers as long as they hold it."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.observability.stretch import FORGET, PARTS_MAX, Stretch

Kept = dict[int, float]
slices = st.dictionaries(st.integers(90, 110), st.integers(1, 300), min_size=1, max_size=9)
steps = st.lists(slices | st.sampled_from(["halve", "begin", "join", "move"]), max_size=40)


def joined(one: Kept, other: Kept) -> Kept:
    return {b: one.get(b, 0.0) + other.get(b, 0.0) for b in sorted(one | other)}


def halved(one: Kept) -> Kept:
    return {bucket: count / 2 for bucket, count in one.items() if count > FORGET}


@given(steps)
@settings(max_examples=150, deadline=None)
def test_it_counts_like_numbers_with_parts(steps: list[dict[int, int] | str]) -> None:
    told, plain = [Stretch(0.0, 0.0)], [Kept()]
    for step in steps:
        if step == "halve":
            for stretch in told:
                stretch.halve()
            plain = [halved(one) for one in plain]
        elif step == "begin":
            told.append(Stretch(float(len(told)), 0.0))
            plain.append({})
        elif step == "join" and len(told) > 1:
            told[-2].join(told.pop())
            last = plain.pop()
            plain[-1] = joined(plain[-1], last)
        elif step == "move":
            told = [Stretch.from_json(json.loads(json.dumps(one.to_json()))) for one in told]
        elif isinstance(step, dict):
            told[-1].add(step)
            plain[-1] = joined(plain[-1], {b: float(count) for b, count in step.items()})
    assert [dict(sorted(one.counts().items())) for one in told] == plain


def test_it_fades_whatever_is_added_meanwhile() -> None:
    stretch, plain = Stretch(0.0, 0.0), Kept()
    for n in range(4 * PARTS_MAX):
        stretch.add({n % 7: 1, 40 + n: 3})
        plain = halved(joined(plain, {n % 7: 1.0, 40 + n: 3.0}))
        stretch.halve()
    assert stretch.counts() == plain
