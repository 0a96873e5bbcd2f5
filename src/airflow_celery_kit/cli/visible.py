"""Runs in: your shell; text of tasks, users and logs, before a terminal sees it.

What steers a terminal could hide lines, forge others or change its title; rich's `Text` passes it on as it is.
"""

from typing import Any

from rich.text import Text

KEPT = "\n\t"
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in KEPT}
# Halves of pairs, which no terminal's encoding has.
HALVES = {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}


def visible(text: str) -> str:
    r"""Return a text with each control character but newline and tab as `\xNN`, and each half of a pair as `\uNNNN`."""
    return text.translate(CONTROLS) if text.isascii() else text.translate(CONTROLS | HALVES)


def cell(value: Any, style: str = "") -> Text:
    """Return what a table shows of a value; nothing of None."""
    return Text(visible("" if value is None else str(value)), style=style)
