"""Every key of the console in one table, and nothing else. Footer, help and palette all read it.

Deeds are capitals and differ from every key that confirms. Nothing sits on ctrl+s, ctrl+z, or only
on ctrl+b, ctrl+a.
"""

from dataclasses import dataclass
from typing import Literal

Where = Literal[
    "everywhere", "health", "jobs", "review", "audit", "phill", "settings", "approvals", "alerts"
]
Task = Literal["move", "look", "decide", "ask", "leave"]

SCREENS: tuple[tuple[str, Where, str], ...] = (
    ("1", "health", "Health"),
    ("2", "jobs", "Jobs"),
    ("3", "review", "Review"),
    ("4", "audit", "Audit"),
    ("5", "phill", "Phill"),
    ("6", "settings", "Settings"),
    ("7", "approvals", "Approvals"),
    ("8", "alerts", "Alerts"),
)


@dataclass(frozen=True, slots=True)
class Key:
    """``keys`` as Textual names them, the first one as shown. ``footer`` orders the footer, 0
    keeps it out."""

    keys: str
    shown: str
    action: str
    says: str
    where: tuple[Where, ...]
    task: Task = "look"
    footer: int = 0
    acts: bool = False


_EVERYWHERE: tuple[Where, ...] = ("everywhere",)
_LISTS: tuple[Where, ...] = ("health", "jobs", "audit", "approvals", "alerts")

KEYS: tuple[Key, ...] = (
    *(
        Key(key, key, f"app.goto('{where}')", title, _EVERYWHERE, "move")
        for key, where, title in SCREENS
    ),
    Key("escape", "esc", "app.step_back", "back; never acts", _EVERYWHERE, "leave"),
    Key("question_mark", "?", "app.keys", "keys", _EVERYWHERE, "look", 98),
    Key("ctrl+p,colon", "ctrl+p", "app.command_palette", "commands", _EVERYWHERE, "look", 99),
    Key("exclamation_mark", "!", "app.problems", "problems", _EVERYWHERE),
    Key("r", "r", "app.reload", "reload now", _EVERYWHERE),
    Key("p", "p", "app.pause", "pause live updates", _EVERYWHERE),
    Key("q", "q", "app.leave", "quit", _EVERYWHERE, "leave"),
    Key("a", "a", "app.ask_about", "ask Phill", _EVERYWHERE, "ask", 80),
    Key("u", "u", "app.undo", "undo the last snooze, for 10 s", _EVERYWHERE, "decide"),
    Key("y", "y", "app.copy", "copy", _EVERYWHERE, "look", 85),
    Key("tab", "tab", "app.next_pane(1)", "next pane", _EVERYWHERE, "move", 60),
    Key("shift+tab", "shift+tab", "app.next_pane(-1)", "previous pane", _EVERYWHERE, "move"),
    Key("j,down", "j", "line(1)", "down", _EVERYWHERE, "move"),
    Key("k,up", "k", "line(-1)", "up", _EVERYWHERE, "move"),
    Key("g,home", "g", "end(-1)", "first", _EVERYWHERE, "move"),
    Key("G,end", "G", "end(1)", "last", _EVERYWHERE, "move"),
    Key("ctrl+d", "ctrl+d", "page(0.5)", "half a page down", _EVERYWHERE, "move"),
    Key("ctrl+u", "ctrl+u", "page(-0.5)", "half a page up", _EVERYWHERE, "move"),
    Key("pagedown", "pgdn", "page(1)", "a page down", _EVERYWHERE, "move"),
    Key("pageup", "pgup", "page(-1)", "a page up", _EVERYWHERE, "move"),
    Key("enter,l", "enter", "open", "open", (*_LISTS, "phill"), "look", 1),
    Key("slash", "/", "filter", "filter", ("jobs", "audit"), "look", 10),
    Key("o", "o", "sort", "sort", ("jobs",), "look", 20),
    Key("O", "O", "turn", "turn the order", ("jobs",), "look"),
    Key("x", "x", "snooze", "snooze 2 h", ("jobs",), "decide", 30, acts=True),
    Key("space", "space", "mark", "mark for merging", ("jobs",), "decide"),
    Key("M", "M", "merge", "merge the marked job into this", ("jobs",), "decide", acts=True),
    Key("X", "X", "split", "split a sample out of it", ("jobs",), "decide", acts=True),
    Key("K", "K", "acknowledge", "acknowledge", ("alerts",), "decide", 20, acts=True),
    Key("right_square_bracket", "]", "hunk(1)", "hunk", ("review",), "look", 10),
    Key("left_square_bracket", "[", "hunk(-1)", "previous hunk", ("review",), "look"),
    Key("right_curly_bracket", "}", "file(1)", "file", ("review",), "look", 11),
    Key("left_curly_bracket", "{", "file(-1)", "previous file", ("review",), "look"),
    Key("greater_than_sign", ">", "patch(1)", "patch", ("review",), "look", 12),
    Key("less_than_sign", "<", "patch(-1)", "previous patch", ("review",), "look"),
    Key("enter", "enter", "unfold", "show what is folded", ("review",), "look"),
    Key("S", "S", "deed('sandbox')", "sandbox", ("review",), "decide", 40, acts=True),
    Key("A", "A", "deed('approve')", "approve", ("review", "approvals"), "decide", 41, acts=True),
    Key("R", "R", "deed('reject')", "reject", ("review", "approvals"), "decide", 42, acts=True),
    Key("P", "P", "deed('apply')", "apply", ("review",), "decide", 43, acts=True),
    Key("Z", "Z", "deed('rollback')", "roll back", ("review",), "decide", 44, acts=True),
    Key("B", "B", "deed('break the glass')", "break the glass", ("review",), "decide", acts=True),
    Key("v", "v", "verify", "verify the chain", ("audit",), "look", 20),
)

TYPING: tuple[Key, ...] = (
    Key("enter", "enter", "submit", "send", (), "look", 1),
    Key("escape", "esc", "app.step_back", "leave the field", (), "leave", 2),
    Key("tab", "tab", "app.next_pane(1)", "next pane", (), "move", 3),
    Key("ctrl+p", "ctrl+p", "app.command_palette", "commands", (), "look", 99),
)
"""What the footer names while a field is typed in: there every letter and digit is text."""

TASKS: dict[Task, str] = {
    "move": "Moving",
    "look": "Looking",
    "decide": "Deciding",
    "ask": "Asking",
    "leave": "Leaving",
}


def keys_for(where: Where) -> list[Key]:
    """What works on this screen: its own keys first."""
    own = [key for key in KEYS if where in key.where]
    return own + [key for key in KEYS if "everywhere" in key.where]


def key_of(verb: str) -> str:
    """The key of a deed, as shown."""
    return next(key.shown for key in KEYS if key.action == f"deed('{verb}')")


def footer(where: Where) -> list[Key]:
    return sorted((key for key in keys_for(where) if key.footer), key=lambda key: key.footer)
