from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.observability.spool import Spool


def make(path: Path, bytes_max: int = 1 << 20) -> Spool:
    return Spool(path, bytes_max, encode=list, decode=tuple)


def test_delivers_in_order_and_removes_its_file(tmp_path: Path) -> None:
    spool = make(tmp_path / "deep" / "spool")
    spool.put([(1, "a"), (2, "b")])
    spool.put([(3, "c")])
    assert spool.rows == 3
    assert spool.peek() == [(1, "a"), (2, "b")]
    assert spool.peek() == [(1, "a"), (2, "b")], "a batch stays until it is done"
    spool.done()
    assert spool.peek() == [(3, "c")]
    spool.done()
    assert spool.peek() is None
    assert not (tmp_path / "deep" / "spool").exists()


def test_a_new_process_finds_what_was_left(tmp_path: Path) -> None:
    make(tmp_path / "s").put([(1,), (2,)])
    again = make(tmp_path / "s")
    assert again.recover() == 2
    assert again.peek() == [(1,), (2,)]


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    make(tmp_path / "s").put([(1,)])
    with (tmp_path / "s").open("ab") as file:
        file.write(b"[[2")
    again = make(tmp_path / "s")
    assert again.recover() == 1
    again.put([(3,)])
    again.done()
    assert again.peek() == [(3,)]


def test_beyond_its_bound_rows_are_counted_as_dropped(tmp_path: Path) -> None:
    spool = make(tmp_path / "s", bytes_max=40)
    spool.put([("x" * 10,)])
    spool.put([("y" * 100,), ("z",)])
    assert (spool.rows, spool.dropped) == (1, 2)
    assert spool.bytes <= 40


def test_a_file_that_was_taken_away_is_said(tmp_path: Path) -> None:
    spool = make(tmp_path / "s")
    spool.put([(1,), (2,)])
    (tmp_path / "s").unlink()
    assert spool.peek() is None
    assert (spool.rows, spool.dropped) == (0, 2)


def test_the_file_is_private(tmp_path: Path) -> None:
    make(tmp_path / "s").put([(1,)])
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.lists(st.tuples(st.integers(), st.text()), min_size=1), max_size=8))
def test_everything_put_comes_out_once(
    tmp_path: Path, batches: list[list[tuple[int, str]]]
) -> None:
    spool = make(tmp_path / "h")
    spool.recover()
    for batch in batches:
        spool.put(batch)
    out = []
    while (rows := spool.peek()) is not None:
        out.extend(rows)
        spool.done()
    assert out == [row for batch in batches for row in batch]


def test_nothing_is_taken_for_delivered_before_the_old_batches_are_counted(tmp_path: Path) -> None:
    make(tmp_path / "s").put([(1,), (2,)])
    again = make(tmp_path / "s")
    again.put([(3,)])
    assert again.peek() is None
    assert again.recover() == 3
    out = []
    while (rows := again.peek()) is not None:
        out += rows
        again.done()
    assert out == [(1,), (2,), (3,)]


def test_what_another_process_wrote_meanwhile_is_not_cleared_away(tmp_path: Path) -> None:
    mine, theirs = make(tmp_path / "s"), make(tmp_path / "s")
    mine.put([(1,)])
    theirs.put([(2,)])
    assert mine.peek() == [(1,)]
    mine.done()
    assert mine.peek() == [(2,)]
    mine.done()
    assert not (tmp_path / "s").exists()


def test_files_of_workers_that_do_not_come_back_are_taken_over(tmp_path: Path) -> None:
    make(tmp_path / "worker-0").put([(1,)])
    make(tmp_path / "worker-1").put([(2,), (3,)])
    with (tmp_path / "worker-1").open("ab") as file:
        file.write(b"[[4")
    assert make(tmp_path / "worker-0").recover([tmp_path / "worker-1"]) == 3
    assert not (tmp_path / "worker-1").exists()
    assert make(tmp_path / "worker-0").recover() == 3
