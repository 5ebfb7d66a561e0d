"""Sections of settings: frozen, made of checked values or not at all, and cheap to import.

A data worker reads its settings before its first byte, and a library that checks anything takes
longer to import than the worker has. What a setting may be is one of five kinds, with limits beside
its default; ``config.py`` is the list. Knows no setting by name.
"""

import re
from collections.abc import Callable, Mapping
from typing import (
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    get_args,
    get_origin,
)

Check = Callable[[Any], None]
"""Raises ``ValueError`` with what would be right."""


class Problem(NamedTuple):
    """One value that was refused."""

    key: str
    """``name`` or, from a section of sections, ``section.name``."""
    value: object
    said: str


class SettingsError(ValueError):
    """Everything that is wrong with the values of one section, or of all."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.key} = {p.value!r}: {p.said}" for p in problems))
        self.problems = problems


class Limits(NamedTuple):
    """What a value of the right kind must keep to besides."""

    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    pattern: str | None = None
    """Of the whole text."""
    check: Check | None = None

    def hold(self, value: Any) -> None:
        if self.above is not None and not value > self.above:
            raise ValueError(f"should be greater than {self.above}")
        if self.at_least is not None and not value >= self.at_least:
            raise ValueError(f"should be greater than or equal to {self.at_least}")
        if self.at_most is not None and not value <= self.at_most:
            raise ValueError(f"should be less than or equal to {self.at_most}")
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise ValueError(f"should match {self.pattern}")
        if self.check is not None:
            self.check(value)


class _Limited(NamedTuple):
    default: Any
    limits: Limits


def setting(
    default: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    pattern: str | None = None,
    check: Check | None = None,
) -> Any:
    """A default with limits, as the value of an annotated name in a ``Section``."""
    return _Limited(default, Limits(above, at_least, at_most, pattern, check))


class Field:
    """One setting: its kind, default and limits."""

    def __init__(self, kind: Any, default: Any) -> None:
        limited = default if isinstance(default, _Limited) else _Limited(default, Limits())
        self.kind = kind
        self.default, self.limits = limited
        self.is_list = get_origin(kind) is tuple
        self._read = _reader(kind)

    def read(self, value: Any) -> Any:
        """``value`` as this kind takes it. Raises ``ValueError`` with what would be right."""
        if type(value) is type(self.default) and value == self.default:
            return self.default
        value = self._read(value)
        self.limits.hold(value)
        return value


class Section:
    """Settings by name, each with a default. A class of annotated values is all a section needs;
    values that are sections make a section of sections.
    """

    fields: ClassVar[Mapping[str, Field]] = {}

    def __init_subclass__(cls) -> None:
        cls.fields = {
            name: Field(kind, cls.__dict__[name]) for name, kind in cls.__annotations__.items()
        }

    def __init__(self, /, **values: object) -> None:
        """Raises ``SettingsError`` naming every value that is no setting or not as it takes it."""
        problems = [
            Problem(name, value, "there is no such setting")
            for name, value in values.items()
            if name not in self.fields
        ]
        made = self.__dict__
        for name, field in self.fields.items():
            value = values.get(name, field.default)
            try:
                made[name] = field.read(value)
            except SettingsError as error:
                problems += [Problem(f"{name}.{p.key}", p.value, p.said) for p in error.problems]
            except ValueError as error:
                problems.append(Problem(name, value, str(error)))
        if problems:
            raise SettingsError(problems)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From what a file, a message or a flag said. Raises ``SettingsError``."""
        return cls(**values)

    def but(self, /, **values: object) -> Self:
        """The same with other values. Raises ``SettingsError``."""
        return type(self)(**(self.__dict__ | values))

    def dump(self) -> dict[str, Any]:
        """Plain values that JSON can carry, and ``of`` takes."""
        return {name: _plain(value) for name, value in self.__dict__.items()}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is fixed; make another with `but`")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({said})"


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.dump()
    return list(value) if isinstance(value, tuple) else value


# --- the kinds of value; text as the environment carries it is read, too ----------------------

_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        value = _WORDS.get(value.lower())
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise ValueError("should be true or false")


def _whole(value: Any) -> int:
    if isinstance(value, str):
        value = _parsed(value.partition(".")[0], int) if _WHOLE.fullmatch(value) else None
    # of what is endless or no number, `% 1` is no number, either
    if isinstance(value, int | float) and not value % 1:
        return int(value)
    raise ValueError("should be a whole number")


def _number(value: Any) -> float:
    if isinstance(value, str):
        value = _parsed(value, float)
    if isinstance(value, int | float):
        return float(value)
    raise ValueError("should be a number")


_WHOLE = re.compile(r"\s*[+-]?[0-9][0-9_]*(?:\.0+)?\s*")


def _parsed(text: str, kind: Callable[[str], float]) -> float | None:
    try:
        return kind(text) if text.isascii() else None
    except ValueError:
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("should be text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("should be a list of texts")
    return tuple(value)


_READERS: dict[Any, Callable[[Any], Any]] = {
    bool: _truth,
    int: _whole,
    float: _number,
    str: _text,
    tuple[str, ...]: _texts,
}


def _reader(kind: Any) -> Callable[[Any], Any]:
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Section):
        return _section(kind)
    return _READERS[kind]


def _one_of(words: tuple[str, ...]) -> Callable[[Any], str]:
    *most, last = (repr(word) for word in words)
    said = f"should be {', '.join(most)} or {last}" if most else f"should be {last}"

    def read(value: Any) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ValueError(said)

    return read


def _section(kind: type[Section]) -> Callable[[Any], Section]:
    def read(value: Any) -> Section:
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise ValueError("should be a section of settings")
        return kind.of(value)

    return read
