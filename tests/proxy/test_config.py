import re
import tomllib
from pathlib import Path

import pytest

from proxy.app.settings import describe, reasons
from proxy.config import NEEDS_RESTART, Config, load, reloaded, unix_path
from proxy.data_files import data_path
from proxy.errors import ConfigError


def test_the_file_lists_every_setting_with_its_default_and_reason() -> None:
    defaults = Config().dump()
    written = tomllib.loads(data_path("config", "proxy.toml").read_text())
    assert written == defaults
    assert sorted(reasons()) == sorted(f"{s}.{k}" for s, v in defaults.items() for k in v)


def test_order_of_sources_and_their_origins(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(
        "[metrics]\nflush_s = 1\nbuffer_size = 11\ncopy_rows = 7\n[app]\nservice = 'shop'\n"
    )
    loaded = load(
        file,
        environ={
            "SELFHEAL_METRICS__BUFFER_SIZE": "22",
            "SELFHEAL_METRICS__FLUSH_S": "2",
            "HOME": "/",
        },
        sets=["metrics.flush_s=3"],
        flags={"app.service": "flagged", "repo.path": None},
    )
    config = loaded.config
    assert (config.metrics.copy_rows, config.metrics.buffer_size) == (7, 22)
    assert (config.metrics.flush_s, config.app.service) == (3.0, "flagged")
    assert loaded.origins["metrics.copy_rows"] == str(file)
    assert loaded.origins["metrics.buffer_size"] == "SELFHEAL_METRICS__BUFFER_SIZE"
    assert loaded.origins["metrics.flush_s"] == "--set"
    assert "repo.path" not in loaded.origins


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["metrics.flush_s=-1"], ["--set", "metrics.flush_s", "greater than 0"]),
        (["metrics.flush=1"], ["no setting", "metrics.flush"]),
        (["nonsense"], ["section.key=value"]),
        (["upstream.url=ftp://x"], ["upstream.url", "http://host:port"]),
        (["upstream.url=http://x/path"], ["paths pass through"]),
        (["listen.data=8080"], ["host:port"]),
        (["app.service=a b"], ["app.service"]),
        (["downstream.forwarded=maybe"], ["'off', 'append' or 'replace'"]),
        (["database.schema=x;drop"], ["database.schema"]),
    ],
)
def test_a_wrong_value_is_named_with_its_origin(sets: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={}, sets=sets)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize("text", ["[metrics", "metrics = 3", "[metrics]\nflush_s = 'soon'"])
def test_a_broken_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load(file, environ={})


def test_lists_come_from_text_by_commas() -> None:
    config = load(environ={"SELFHEAL_REPO__SHARE": ".venv, deps"}).config
    assert config.repo.share == (".venv", "deps")


def test_a_password_is_never_shown() -> None:
    rows = describe(sets=["database.url=postgresql://me:hush@h/db"])
    assert "hush" not in str(rows)
    assert any("me:***@h" in str(row.value) for row in rows)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:hush@h/db",
        "postgresql://me:hu@sh@h/db",
        "host=h user=me password=hush dbname=db",
        "host=h password = 'hush \\' hush' dbname=db",
        "postgresql://h/db?user=me&password=hush",
    ],
)
@pytest.mark.parametrize("key", ["database.url", "repo.database_url"])
def test_no_form_of_a_password_is_shown(key: str, dsn: str) -> None:
    rows = {row.key: row.value for row in describe(sets=[f"{key}={dsn}"])}
    assert "***" in rows[key]
    assert not {"hush", "sh@h"} & set(rows[key].replace("'", " ").split())
    assert "hush" not in rows[key]


def test_a_reload_leaves_alone_what_a_running_sidecar_is_built_around() -> None:
    old = Config()
    new = load(
        environ={},
        sets=[
            "listen.workers=4", "app.service=other", "metrics.buffer_size=5",
            "metrics.flush_s=7", "repo.verify_s=9", "control.hosts=a.example",
        ],
    ).config  # fmt: skip
    taken, waiting = reloaded(old, new)
    assert waiting == ("app.service", "listen.workers", "metrics.buffer_size")
    assert (taken.app, taken.listen, taken.metrics.buffer_size) == (old.app, old.listen, 10000)
    assert (taken.metrics.flush_s, taken.repo.verify_s) == (7, 9)
    assert taken.control.hosts == ("a.example",)


def test_a_wrong_flag_is_named_as_it_was_typed() -> None:
    with pytest.raises(ConfigError) as refused:
        load(None, environ={}, flags={"upstream.url": "notaurl"})
    assert str(refused.value).startswith("--upstream: upstream.url = 'notaurl': an upstream is")


def test_the_docs_name_every_setting_that_waits_for_a_start() -> None:
    page = (Path(__file__).parents[2] / "docs" / "running.md").read_text()
    _, _, rest = page.partition("waits for the next start:")
    said = set(re.findall(r"`([a-z_.]+)`", rest.partition("and the change between")[0]))
    assert said == set(NEEDS_RESTART)


def test_other_tls_files_hold_at_once_but_tls_itself_waits() -> None:
    plain = load(environ={}).config
    first = load(environ={}, sets=["listen.tls_certificate=a", "listen.tls_key=b"]).config
    second = load(environ={}, sets=["listen.tls_certificate=c", "listen.tls_key=d"]).config
    assert reloaded(first, second) == (second, ())
    waiting = ("listen.tls_certificate", "listen.tls_key")
    assert reloaded(plain, first) == (plain, waiting)
    assert reloaded(first, plain) == (first, waiting)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("unix:/run/app.sock", "/run/app.sock"),
        ("unix:///run/app.sock", "///run/app.sock"),
        ("http+unix://%2Frun%2Fapp.sock", "/run/app.sock"),
        ("http+unix://%2Frun%2Fapp.sock/", "/run/app.sock"),
        ("http://unix:80", None),
        ("unix:run/app.sock", None),
        ("http+unix://app.sock", None),
    ],
)
def test_unix_upstreams(url: str, path: str | None) -> None:
    assert unix_path(url) == path
    if path is None and not url.startswith("http://"):
        with pytest.raises(ConfigError, match=r"unix:/path"):
            load(environ={}, sets=[f"upstream.url={url}"])
    else:
        assert load(environ={}, sets=[f"upstream.url={url}"]).config.upstream.url == url
