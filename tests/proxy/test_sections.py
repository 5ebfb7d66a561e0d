"""Settings are read as pydantic reads them: it is the judge here and not imported by what we ship
to a data worker.
"""

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from proxy.config import App, Config, Listen, Repo
from proxy.sections import Field as Setting
from proxy.sections import Section, SettingsError

ODD = [
    None, True, False, 0, 1, -1, 2, 70000, 1.0, 1.5, 0.05, -0.0, 1e9, 10**30, float("inf"),
    float("nan"), "", " ", "1", " 1 ", "1.0", "1.5", "+1", "-1", "007", "0600", "1_000", "_1",
    "0x10", "1e3", "1.", "1_000.0", "1__0", " 12.00 ", "-", "1 2", "1e-1", "nan", "inf", "١",
    "yes", "TRUE", "On", "off", "no", "n", "T", "maybe", "append", "Append", "merge", "a b",
    "name", "name\n", "/a/b", "127.0.0.1:80", "unix:/x", "http://h:1", "http://h/x",
    "22:00-07:00", "22:00", [], ["a"], ("10.0.0.0/8", "unix"), ["a", 1], ["DB_ERROR=4"],
    ["other=x"], {}, {"a": 1}, object,
]  # fmt: skip


def judge(setting: Setting) -> TypeAdapter[Any]:
    limits = setting.limits
    field = Field(gt=limits.above, ge=limits.at_least, le=limits.at_most)
    said: list[Any] = [setting.kind, field]
    if limits.pattern is not None:
        said.append(Field(pattern=rf"^(?:{limits.pattern})$"))
    if limits.check is not None:
        check = limits.check

        def checked(value: Any) -> Any:
            check(value)
            return value

        said.append(AfterValidator(checked))
    return TypeAdapter(Annotated[tuple(said)], config=ConfigDict(ser_json_inf_nan="constants"))


def every_setting() -> list[tuple[str, Setting]]:
    return [
        (f"{section}.{name}", setting)
        for section, group in Config.fields.items()
        for name, setting in group.kind.fields.items()
    ]


@pytest.mark.parametrize(("key", "setting"), every_setting(), ids=[k for k, _ in every_setting()])
def test_every_setting_takes_what_its_kind_and_limits_allow(key: str, setting: Setting) -> None:
    judged = judge(setting)
    assert judged.validate_python(setting.default) == setting.default
    for value in [setting.default, str(setting.default), *ODD]:
        try:
            expected = judged.validate_python(value)
        except ValidationError:
            with pytest.raises(ValueError, match=r"."):
                setting.read(value)
        else:
            got = setting.read(value)
            assert (type(got), repr(got)) == (type(expected), repr(expected)), (key, value)


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Config.of(
            {"listen": {"workers": 65, "socket_mode": "9"}, "repo": 3, "self": 1, "app": {"x": 1}}
        )
    assert [(problem.key, problem.value) for problem in caught.value.problems] == [
        ("self", 1),
        ("app.x", 1),
        ("listen.workers", 65),
        ("listen.socket_mode", "9"),
        ("repo", 3),
    ]
    assert "listen.workers = 65: should be less than or equal to 64" in str(caught.value)


def test_a_section_is_fixed_and_equal_by_its_values() -> None:
    one = Listen(workers="2")
    assert one == Listen.of({"workers": 2}) == Listen().but(workers=2)
    assert hash(one) == hash(Listen(workers=2))
    assert one != Listen()
    assert one != App()
    with pytest.raises(AttributeError, match=r"Listen.workers is fixed"):
        one.workers = 3
    with pytest.raises(SettingsError, match=r"workers"):
        one.but(workers=0)
    assert repr(App()) == "App(service='app', environment='production')"


def test_what_is_dumped_is_taken_again() -> None:
    config = Config.of({"repo": {"share": ["a", "b"]}, "app": App(service="shop")})
    dumped = config.dump()
    assert dumped["repo"]["share"] == ["a", "b"]
    assert Config.of(dumped) == config
    assert config.but(repo={"path": "/x"}).repo == Repo(path="/x")


def test_a_kind_that_nothing_reads_is_no_setting() -> None:
    with pytest.raises(KeyError):

        class Wrong(Section):
            number: complex = 1j
