"""Descriptors: newcomers never take what the requests of those already here need."""

import resource

import pytest

from proxy.dataplane import descriptors


@pytest.mark.parametrize("limit", [1, 33, 64, 256, 1024, 20000, 1 << 20])
def test_newcomers_leave_a_part(limit: int) -> None:
    room = descriptors.share(limit)
    assert room >= 1
    if limit >= 64:
        assert limit - room >= 32 + (limit - 32) // 8
        assert room > limit / 3


def test_the_soft_limit_is_raised_as_far_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    assert descriptors.room_for_traffic() == descriptors.share(4096)
    assert asked == [(4096, 4096)]


def test_a_kernel_that_grants_less_leaves_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int, limits: tuple[int, int]) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert descriptors.room_for_traffic() == descriptors.share(256)
