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
)
THEMES = (DARK, LIGHT, COLOURBLIND)
NAMES = tuple(theme.name for theme in THEMES)
