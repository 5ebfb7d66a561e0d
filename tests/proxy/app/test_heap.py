import gc

from proxy.app import heap


def test_what_is_there_is_not_walked_again_and_what_comes_is() -> None:
    class Link:
        def __init__(self) -> None:
            self.myself = self

    old, young = Link(), None
    try:
        heap.settle()
        seen = gc.get_objects()
        assert not any(each is old for each in seen)
        young = Link()
        assert any(each is young for each in gc.get_objects())
        del young, seen
        assert gc.collect() >= 1, "a new circle is still found"
    finally:
        gc.unfreeze()
