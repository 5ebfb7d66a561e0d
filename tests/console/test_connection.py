"""Where the sidecar is: the order of the sources, and the token that stays on this machine."""

from pathlib import Path

import pytest

from console.connection import find_connection
from proxy.errors import NotPermitted, SelfHealError, Unavailable, UsageError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "control.url").write_text("http://127.0.0.1:9900/\n")
    (tmp_path / "founder.token").write_text("founder:abc\n")
    return tmp_path


def test_data_dir_names_both(home: Path) -> None:
    assert find_connection(data_dir=home, environ={}) == ("http://127.0.0.1:9900", "founder:abc")


def test_flags_win_over_environment_and_files(home: Path, tmp_path: Path) -> None:
    token = tmp_path / "other"
    token.write_text("admin:x")
    env = {"SELFHEAL_URL": "http://127.0.0.1:1", "SELFHEAL_TOKEN": "viewer:y"}
    assert find_connection(data_dir=home, environ=env) == ("http://127.0.0.1:1", "viewer:y")
    found = find_connection("http://127.0.0.1:2", token, home, env)
    assert found == ("http://127.0.0.1:2", "admin:x")


@pytest.mark.parametrize(
    "environ", [{"SELFHEAL_DATA_DIR": "{}"}, {"XDG_DATA_HOME": "{}/.."}, {"HOME": "{}/../../.."}]
)
def test_default_data_dir(tmp_path: Path, environ: dict[str, str]) -> None:
    home = tmp_path / ".local/share/selfheal"
    home.mkdir(parents=True)
    (home / "control.url").write_text("http://[::1]:9900")
    (home / "founder.token").write_text("founder:abc")
    env = {key: str(Path(value.format(home)).resolve()) for key, value in environ.items()}
    assert find_connection(environ=env)[0] == "http://[::1]:9900"


def test_no_sidecar_names_the_fix(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="selfheal up") as caught:
        find_connection(data_dir=tmp_path, environ={})
    assert caught.value.exit_code == 69


def test_no_token_is_not_permitted(tmp_path: Path) -> None:
    with pytest.raises(NotPermitted, match="--token-file") as caught:
        find_connection("http://localhost:1", data_dir=tmp_path, environ={})
    assert caught.value.exit_code == 77


def test_the_founders_copy_is_never_sent_to_another_machine(home: Path) -> None:
    with pytest.raises(NotPermitted, match="another machine"):
        find_connection("http://example.org:9900", data_dir=home, environ={})


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x", "http://", "127.0.0.1:9900", "http://u:p@h", "http://h:99999", "http://h?q"],
)
def test_a_bad_address_is_a_usage_error(home: Path, url: str) -> None:
    with pytest.raises((UsageError, Unavailable)):
        find_connection(url or "http://h:0", data_dir=home, environ={})


@pytest.mark.parametrize("text", ["", "nocolon", ":x", "name:", "a:b\x1b[0m", "ä:b"])
def test_a_bad_token_is_refused_before_anything_is_sent(home: Path, text: str) -> None:
    (home / "founder.token").write_text(text)
    with pytest.raises(SelfHealError) as caught:
        find_connection(data_dir=home, environ={})
    assert caught.value.exit_code == 77
    assert "\x1b" not in str(caught.value)
