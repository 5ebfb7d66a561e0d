"""The causes of a long stack: they stand behind hundreds of frames, further than anybody reads.

Java, C#, Ruby and Node print the cause below the frames of what it became; Python prints the error
itself last. Both are cut out and moved to where they are read.
"""

CAUSE_CHARS = 300
CAUSES_MAX = 3
_HEADS = ("\nCaused by: ", "[cause]: ", "\n ---> ")


def with_causes(stack: str, room: int) -> str:
    """At most ``room`` characters: the beginning, and the last causes of what follows."""
    if len(stack) <= room:
        return stack
    told = "\n".join(_causes(stack, room))[: room // 2]
    return f"{stack[: room - len(told) - 1]}\n{told}" if told else stack[:room]


def _causes(stack: str, start: int) -> list[str]:
    found: list[str] = []
    for head in _HEADS:
        at = len(stack)
        while len(found) < CAUSES_MAX and (at := stack.rfind(head, start, at)) >= 0:
            found.append(_line(stack, at + len(head)))
    if stack.startswith("Traceback (most recent call last)"):
        found.append(_line(stack, stack.rstrip().rfind("\n") + 1))
    return found


def _line(stack: str, at: int) -> str:
    return stack[at : at + CAUSE_CHARS].partition("\n")[0].strip()
