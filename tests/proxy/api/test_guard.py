"""Host, Origin and the form of a change, as pure checks."""

import pytest

from proxy.api.guard import Guard, check_change
from proxy.api.problems import Refusal
from proxy.config import Config
from proxy.contract.base import CHANGE_HEADER

CHANGE = {"Content-Type": "application/json", CHANGE_HEADER: "1"}


def guard(**control: list[str]) -> Guard:
    return Guard.of(Config.of({"control": control}))


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9900", "127.0.0.1:1", "[::1]:9900", "[::1]", "10.0.0.7:9900"]
)
def test_our_own_names_and_the_sockets_own_address_pass(host: str) -> None:
    guard().check_host(host, "10.0.0.7", probe=False)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil",
        "127.0.0.1.evil",
        "10.0.0.8",
        "",
        "a b",
        "localhost:x",
        "[::2]",
    ],
)
def test_other_names_do_not(host: str) -> None:
    with pytest.raises(Refusal) as refused:
        guard().check_host(host, "10.0.0.7", probe=True)
    assert refused.value.status == 403


def test_a_configured_name_passes_with_any_port() -> None:
    guard(hosts=["Heal.Example:443"]).check_host("heal.example:8443", None, probe=False)


def test_no_host_is_for_probes_only() -> None:
    guard().check_host(None, None, probe=True)
    with pytest.raises(Refusal):
        guard().check_host(None, None, probe=False)


def test_origins_are_refused_unless_listed() -> None:
    guard(origins=["https://ops.example"]).check_origin(["https://OPS.example"])
    for origin in ("null", "https://ops.example.evil", "http://ops.example"):
        with pytest.raises(Refusal):
            guard(origins=["https://ops.example"]).check_origin([origin])


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({CHANGE_HEADER: "true"}, 403),
        ({}, None),
    ],
)
def test_a_change_has_one_form(change: dict[str, str], status: int | None) -> None:
    headers = CHANGE | change
    kind = headers["Content-Type"]
    if status is None:
        check_change(headers, kind)
        return
    with pytest.raises(Refusal) as refused:
        check_change(headers, kind)
    assert refused.value.status == status


def test_the_listen_address_is_a_name_of_ours_but_any_is_none() -> None:
    config = Config.of({"listen": {"control": "192.0.2.4:9900"}})
    assert "192.0.2.4" in Guard.of(config).hosts
    config = Config.of({"listen": {"control": "0.0.0.0:9900"}})
    assert "0.0.0.0" not in Guard.of(config).hosts
