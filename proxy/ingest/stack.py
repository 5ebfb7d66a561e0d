"""An SDK's frames as text, in the form the language itself would print, library frames folded.

Classifier and signature read stacks as text, whoever sent them. Pure; every field may be of any
type.
"""

from typing import Any

from proxy.ingest.fields import as_dict, as_list, as_number, as_text
from proxy.ingest.limits import CAUSES_MAX, FRAMES_MAX, STACK_CHARS_MAX, WORD_CHARS_MAX

_PYTHON_JOIN = "The above exception was the direct cause of the following exception:"


def headline(exception: dict[str, Any]) -> str:
    """``Type: value`` of one exception value."""
    kind = as_text(exception.get("type"), WORD_CHARS_MAX)
    value = as_text(exception.get("value"))
    return f"{kind}: {value}" if kind and value else kind or value


def exceptions(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The chain in wire order: causes first, the raised one last."""
    found = event.get("exception")
    values = found if isinstance(found, list) else as_list(as_dict(found).get("values"))
    return [value for value in values[-CAUSES_MAX:] if isinstance(value, dict)]


def stack_text(chain: list[dict[str, Any]], platform: str) -> str | None:
    """The whole chain as text, at most ``STACK_CHARS_MAX``; None when there is not one frame."""
    if not any(_frames(value) for value in chain):
        return None
    if platform == "python":
        text = f"\n\n{_PYTHON_JOIN}\n\n".join(_python(value) for value in chain)
        return text[-STACK_CHARS_MAX:]
    raised, *causes = reversed([_javascript(value) for value in chain])
    return "\n".join([raised, *(f"Caused by: {cause}" for cause in causes)])[:STACK_CHARS_MAX]


def _python(value: dict[str, Any]) -> str:
    lines = ["Traceback (most recent call last):"]
    for frame in _fold(_frames(value)):
        if isinstance(frame, int):
            lines.append(f"  ... {frame} library frames")
            continue
        lines.append(
            f'  File "{_file(frame)}", line {as_number(frame.get("lineno"))}, in {_function(frame)}'
        )
        if code := as_text(frame.get("context_line"), WORD_CHARS_MAX).strip():
            lines.append(f"    {code}")
    return "\n".join([*lines, headline(value)])


def _javascript(value: dict[str, Any]) -> str:
    lines = [headline(value)]
    for frame in reversed(_fold(_frames(value))):
        if isinstance(frame, int):
            lines.append(f"    ... {frame} library frames")
            continue
        place = f"{_file(frame)}:{as_number(frame.get('lineno'))}"
        if "colno" in frame:
            place += f":{as_number(frame['colno'])}"
        lines.append(f"    at {_function(frame)} ({place})")
    return "\n".join(lines)


def _frames(value: dict[str, Any]) -> list[dict[str, Any]]:
    frames = as_list(as_dict(value.get("stacktrace")).get("frames"))
    return [frame for frame in frames[-FRAMES_MAX:] if isinstance(frame, dict)]


def _fold(frames: list[dict[str, Any]]) -> list[dict[str, Any] | int]:
    """Keep the app's own frames and the innermost one;

    a run of library frames becomes its number.
    """
    if not any(frame.get("in_app") is True for frame in frames):
        return list(frames)
    folded: list[dict[str, Any] | int] = []
    for position, frame in enumerate(frames, start=1):
        if frame.get("in_app") is not False or position == len(frames):
            folded.append(frame)
        elif folded and isinstance(folded[-1], int):
            folded[-1] += 1
        else:
            folded.append(1)
    return folded


def _file(frame: dict[str, Any]) -> str:
    """The path inside the app for its own frames;

    the whole path for others, so that libraries show as such.
    """
    names = (
        ("filename", "abs_path") if frame.get("in_app") is not False else ("abs_path", "filename")
    )
    for name in (*names, "module"):
        if text := as_text(frame.get(name), WORD_CHARS_MAX):
            return text
    return "<unknown>"


def _function(frame: dict[str, Any]) -> str:
    return as_text(frame.get("function"), WORD_CHARS_MAX) or "<anonymous>"
