"""A header of the app's answers names its release: another value is told once, and passes as it
came.
"""

import pytest

from proxy.dataplane.releases import GONE_S, KNOWN_MAX, Releases
from tests.support.dataplane import GET, config_for, replying, rig


def naming(version: str, *, name: str = "X-App-Version", more: str = "") -> bytes:
    lines = f"HTTP/1.1 200 OK\r\n{name}: {version}\r\n{more}Content-Length: 0\r\n\r\n"
    return lines.encode("latin-1")


class Watch:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.releases = Releases("X-App-Version", self.told.append)
        self.now = 0.0

    def see(self, *versions: str, every_s: float = 1.0) -> None:
        for version in versions:
            self.now += every_s
            self.releases.see(naming(version).split(b"\r\n"), self.now)


def test_the_first_is_no_news_and_each_other_is_told_once() -> None:
    watch = Watch()
    watch.see("v1", "v1", "v2", "v2", "v3")
    assert watch.told == ["v2", "v3"]


def test_while_a_deploy_rolls_old_and_new_answer_in_turn() -> None:
    watch = Watch()
    watch.see("v1", *["v2", "v1"] * 200, "v2")
    assert watch.told == ["v2"]


def test_a_roll_back_is_told() -> None:
    watch = Watch()
    watch.see("v1", "v2", *["v2"] * 3)
    watch.see("v1", every_s=GONE_S)
    assert watch.told == ["v2", "v1"]


def test_nonsense_is_bounded_and_no_release() -> None:
    watch = Watch()
    watch.see("", "v1", "", "v1", "x" * 5000, *(f"n{n}" for n in range(500)))
    assert len(watch.told) == 501
    assert max(map(len, watch.told)) == 200
    assert len(watch.releases._gone) <= KNOWN_MAX
    watch.releases.see([b"HTTP/1.1 200 OK", b"X-App-Versions: v9", b"", b"X-App"], 1.0)
    assert watch.told[-1] == "n499"


@pytest.mark.parametrize("hot", [True, False])
async def test_both_planes_read_it_and_change_nothing(hot: bool) -> None:
    answers = [
        naming("v1"),
        naming("v2", name="x-app-VERSION"),
        naming("v\xe9", more="X-Other: 1\r\n"),
    ]
    setting = {"detector": {"deploy_header": "x-app-version"}}
    async with rig(replying(*answers), hot=hot, **setting) as r:
        client = await r.connect()
        for answer in answers:
            await client.send(GET)
            assert (await client.got()).raw == answer
        assert r.kept.releases == ["v2", "v\xe9"]
        # a reload turns it off
        r.server.reload(config_for(r.upstream.port))
        await client.send(GET)
        await client.got()
        assert r.server._plane.releases is None


async def test_by_default_nothing_is_read() -> None:
    async with rig(replying(naming("v1"), naming("v2"))) as r:
        client = await r.connect()
        for version in ("v1", "v2"):
            await client.send(GET)
            assert (await client.got()).raw == naming(version)
        assert r.kept.releases == []
