"""Runs in: what reads config/limits.yaml; pure: shell patterns as PostgreSQL's regular expressions."""

import re
from collections.abc import Iterable

PART = re.compile(r"\[!(\][^\]]*|[^\]]+)\]|\[(\][^\]]*|[^\]!][^\]]*)\]|(.)", re.DOTALL)
NOTHING = "[^\\s\\S]"
# How many letters a set may hold: each of them is written out.
MOST_LETTERS = 256
TOO_MANY = f"a set of letters in brackets holds more than {MOST_LETTERS}: name fewer, or write ?"


def expression(patterns: Iterable[str]) -> str | None:
    """Return what fits where any of the patterns does, as `fnmatch.fnmatchcase` would say; None where there are none.

    Raises ValueError for one with a set of more than MOST_LETTERS.
    """
    found = [one(pattern) for pattern in patterns]
    return f"^(?:{'|'.join(found)})$" if found else None


def one(pattern: str) -> str:
    """Return the expression of one pattern. Raises ValueError for a set of more than MOST_LETTERS."""
    return "".join(
        _single(single) if single else _set(none or some, bool(none)) for none, some, single in PART.findall(pattern)
    )


def _single(letter: str) -> str:
    return {"*": ".*", "?": "."}.get(letter) or _literal(letter)


def _literal(letter: str) -> str:
    return f"\\{letter}" if letter.isascii() and not (letter.isalnum() or letter == "_") else letter


def _range(first: int, last: int) -> str:
    if last - first >= MOST_LETTERS:
        raise ValueError(TOO_MANY)
    return "".join(map(chr, range(first, last + 1)))


def _set(members: str, negated: bool) -> str:
    """Return a set of letters, each by itself: a range that runs backwards holds none."""
    kept, at = "", 0
    while at < len(members):
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            kept += _range(ord(members[at]), ord(members[at + 2]))
            at += 3
        else:
            kept += members[at]
            at += 1
    if len(set(kept)) > MOST_LETTERS:
        raise ValueError(TOO_MANY)
    letters = "".join(map(_literal, sorted(set(kept))))
    if not letters:
        return "." if negated else NOTHING
    return f"[{'^' if negated else ''}{letters}]"
