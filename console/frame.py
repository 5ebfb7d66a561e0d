"""The first and the last line of every screen, and the page of keys. Pure."""

from datetime import datetime

from console.format import Line, age, cells, clock_time, cut, environment_badge, severity_bit
from console.keys import SCREENS, TASKS, TYPING, Key, Where, footer, keys_for
from console.news import What
from console.state import ProblemNote, State, connection_badge
from console.wording import ALERT_SAYS
from proxy.clock import Clock
from proxy.contract.alerts import AlertView

NARROW = 100
MIN_COLUMNS, MIN_ROWS = 60, 16


def screen_name(where: Where) -> str:
    return next((title for _, name, title in SCREENS if name == where), "")


def header(state: State, where: Where, crumb: str, width: int, clock: Clock) -> Line:
    """``shop ▸ Jobs ▸ J-1      [PRODUCTION]  87  ● live  14:02:31``; the left side gives way
    first."""
    narrow = width < NARROW
    health = state.health
    badge, look = connection_badge(state, clock.monotonic())
    environment = environment_badge(health.environment if health else "", short=narrow)
    score = f"{health.score}" if health and health.score is not None else "–"
    time = clock_time(clock.now())
    right: Line = [
        (environment, "prod" if health and health.environment == "production" else "title"),
        (f"  {score}  ", "title"),
        (badge, look),
        (f"  {time[:5] if narrow else time + ' UTC'} ", "dim"),
    ]
    if state.read_only:
        right.insert(0, ("read-only  ", "high"))
    if state.problems:
        right.insert(0, (f"! {len(state.problems)}  ", "bad"))
    used = sum(cells(text) for text, _ in right)
    name = (health.service if health else "") or "selfheal"
    path = " ▸ ".join(part for part in (name, screen_name(where), crumb) if part)
    left = cut(" " + path, max(width - used - 1, 4))
    return [(left, "title"), (" " * max(width - used - cells(left), 1), ""), *right]


def alert_strip(alerts: tuple[AlertView, ...], width: int, now: datetime) -> Line:
    """``■CRIT J-1 critical job 2m: DB_ERROR GET /orders   +2   8 shows them``: the worst one, how
    many more there are, and where."""
    if not alerts:
        return []
    worst = alerts[0]
    mark, look = severity_bit(worst.severity)
    more = f"   +{len(alerts) - 1}" if len(alerts) > 1 else ""
    tail = f"{more}   8 shows {'them' if more else 'it'} "
    head = f" {mark} {worst.subject} {ALERT_SAYS[worst.kind]} {age(worst.since, now)}"
    about = cut(f": {worst.summary}", max(width - cells(head) - cells(tail), 0))
    return [(head, look), (about, ""), (tail, "dim")]


def foot(
    where: Where, why_not: str | None, activity: str, width: int, *, typing: bool = False
) -> Line:
    """What is going on, then the keys of this screen, the likeliest first; keys that may not act
    are dim. In a field only the keys that are no text are named."""
    line: Line = [(f" {activity} ", "high")] if activity else []
    left = width - sum(cells(text) for text, _ in line)
    keys = list(TYPING) if typing else footer(where)
    last = [key for key in keys if key.footer >= 98]
    reserve = sum(_size(key) for key in last)
    for key in [*(key for key in keys if key.footer < 98), *last]:
        size = _size(key)
        room = left if key in last else left - reserve
        if size > room:
            continue
        left -= size
        if key in last:
            reserve -= size
        dim = key.acts and why_not is not None
        line += [(f" {key.shown}", "dim" if dim else "title"), (f" {key.says} ", "dim")]
    return line


def _size(key: Key) -> int:
    return cells(key.shown) + cells(key.says) + 3


def key_lines(where: Where) -> list[Line]:
    """All keys of a screen, by task."""
    lines: list[Line] = []
    keys = keys_for(where)
    for task, title in TASKS.items():
        group = [key for key in keys if key.task == task]
        if group:
            lines += [[], [(title, "title")]]
        for key in group:
            lines.append([(f"  {key.shown:<10}", "link"), (key.says, "")])
    return [
        *lines[1:],
        [],
        [("Severity  ■CRIT ▲HIGH ●MED ·low", "dim")],
        [("Filter    status:all sev>=high cat:DB_ERROR and words", "dim")],
        [("Deeds are capitals; what confirms them never is.", "dim")],
    ]


def problem_lines(problems: tuple[ProblemNote, ...], now: float) -> list[Line]:
    if not problems:
        return [[("no problem so far", "dim")]]
    lines: list[Line] = []
    for problem in reversed(problems):
        times = f" ({problem.times} times)" if problem.times > 1 else ""
        ago = f"{max(0, now - problem.at):.0f} s ago"
        lines += [
            [(f"✗ {problem.what}", "bad"), (f"  {ago}{times}", "dim")],
            [("  " + problem.reason, "")],
            [],
        ]
    return lines


LOADS: dict[Where, tuple[What, ...]] = {
    "health": ("health", "routes", "approvals", "jobs"),
    "jobs": ("jobs",),
    "audit": ("audit", "verify"),
    "settings": ("control",),
    "approvals": ("approvals",),
    "alerts": ("alerts", "approvals"),
}
"""What a screen needs when it opens."""
COUNTS: dict[Where, tuple[What, ...]] = {"health": ("routes",), "jobs": ("jobs",)}
"""What of a screen changes without an event, beside the score in every header."""
