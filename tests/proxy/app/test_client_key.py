import stat
from pathlib import Path

from proxy.app.client_key import client_hasher


def test_the_same_visitor_has_the_same_name_in_every_process(tmp_path: Path) -> None:
    first, second = client_hasher(tmp_path / "key"), client_hasher(tmp_path / "key")
    assert first("192.0.2.7") == second("192.0.2.7")
    assert first("192.0.2.7") != first("192.0.2.8")
    assert first("") is None
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_another_installation_names_it_otherwise(tmp_path: Path) -> None:
    one, other = client_hasher(tmp_path / "a"), client_hasher(tmp_path / "b")
    assert one("192.0.2.7") != other("192.0.2.7")


def test_a_disk_that_takes_no_file_stops_nothing(tmp_path: Path) -> None:
    hasher = client_hasher(tmp_path / "missing" / "key")
    assert hasher("192.0.2.7") == hasher("192.0.2.7")
