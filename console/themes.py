"""The console's themes. Blue and orange survive red-green blindness; words and signs survive
everything."""

from textual.theme import Theme

DARK = Theme(
    name="dark",
    primary="#5ea1e6",
    secondary="#8fb8de",
    warning="#e6b450",
    error="#f2777a",
    success="#7fc97f",
    accent="#c5a5e8",
    foreground="#d8dce2",
    background="#14171c",
    surface="#1c2027",
    panel="#262b34",
    dark=True,
    variables={
        "dim": "#8b93a0",
        "line": "#3a414d",
        "cursor-line": "#24405f",
        "add-line": "#15261a",
        "add-word": "#22512c",
        "del-line": "#2b1719",
        "del-word": "#5c2629",
    },
)
LIGHT = Theme(
    name="light",
    primary="#1f5fa8",
    secondary="#3b74b3",
    warning="#9a5b00",
    error="#b3261e",
    success="#1d6f2f",
    accent="#6b3fa0",
    foreground="#1d2129",
    background="#fbfbf8",
    surface="#f1f1ec",
    panel="#e2e3de",
    dark=False,
    variables={
        "dim": "#5d6570",
        "line": "#c4c6c0",
        "cursor-line": "#cfe0f3",
        "add-line": "#e4f3e4",
        "add-word": "#b4dfb6",
        "del-line": "#fbe6e4",
        "del-word": "#f0b9b4",
    },
)
COLOURBLIND = Theme(
    name="colourblind",
    primary="#56b4e9",
    secondary="#56b4e9",
    warning="#f0e442",
    error="#e69f00",
    success="#4aa3df",
    accent="#cc79a7",
    foreground="#e0e0e0",
    background="#101418",
    surface="#181d23",
    panel="#232a32",
    dark=True,
    variables={
        "dim": "#8f98a3",
        "line": "#3b444f",
        "cursor-line": "#1f4560",
        "add-line": "#10283a",
        "add-word": "#1d4f75",
        "del-line": "#33260a",
        "del-word": "#6b4e0e",
    },
)
THEMES = (DARK, LIGHT, COLOURBLIND)
NAMES = tuple(theme.name for theme in THEMES)
