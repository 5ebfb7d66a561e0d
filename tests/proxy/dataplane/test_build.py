"""Which build is under test: the plain source, or the wheel with the hot path compiled.

``make test-compiled`` sets ``SELFHEAL_EXPECT_BUILD``; the tests beside this one then run against
the compiled modules, and here is the proof that they do.
"""

import importlib
import os
import tomllib
from pathlib import Path

import pytest

from proxy.version import data_plane

ROOT = Path(__file__).parents[3]
EXPECTED = os.environ.get("SELFHEAL_EXPECT_BUILD", "plain")


def compiled_modules() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hook = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    assert hook["enable-by-default"] is False, "a plain install needs no compiler"
    return [path.strip("/").removesuffix(".py").replace("/", ".") for path in hook["include"]]


@pytest.mark.parametrize("name", compiled_modules())
def test_the_build_under_test_is_the_one_that_was_asked_for(name: str) -> None:
    module = importlib.import_module(name)
    loaded = Path(str(module.__file__))
    assert loaded.suffix == (".so" if EXPECTED == "compiled" else ".py")
    assert loaded.is_relative_to(ROOT), "the tests must not meet another installation"


def test_the_build_is_named() -> None:
    assert data_plane() == EXPECTED


def test_a_compiled_class_is_no_python_class() -> None:
    from proxy.dataplane.hot import Hot

    assert hasattr(Hot.data_received, "__code__") == (EXPECTED == "plain")


def test_no_compiled_module_lies_in_the_source_tree() -> None:
    if EXPECTED == "plain":
        assert not list((ROOT / "proxy").rglob("*.so"))
