"""New settings on a running control port."""

from proxy.api.server import reload
from proxy.config import Config
from tests.support.api import ApiUnderTest


async def test_allow_lists_and_redaction_follow_a_reload(api: ApiUnderTest) -> None:
    asked = {"Host": "heal.example", "Origin": "https://desk.example"}
    assert (await api.call("founder", "GET", "/jobs", headers=asked))[0] == 403
    control = {"hosts": ["heal.example"], "origins": ["https://desk.example"]}
    reload(
        api.client.app,
        Config.of({"control": control, "capture": {"redact_names": ["shoe_size"]}}),
    )
    assert (await api.call("founder", "GET", "/jobs", headers=asked))[0] == 200
    job = await api.ok(
        "founder", "POST", "/jobs", {"message": "no shelf for shoe_size=47", "status": 500}
    )
    told = await api.ok("founder", "GET", f"/jobs/{job['id']}")
    assert "47" not in told["events"][0]["message"]

    reload(api.client.app, Config())
    assert (await api.call("founder", "GET", "/jobs", headers=asked))[0] == 403
