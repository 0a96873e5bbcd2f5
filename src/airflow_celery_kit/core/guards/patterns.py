"""Runs in: what reads config/limits.yaml; pure: shell patterns as PostgreSQL's regular expressions."""

import re
from collections.abc import Iterable

PART = re.compile(r"\[!(\][^\]]*|[^\]]+)\]|\[(\][^\]]*|[^\]!][^\]]*)\]|(.)", re.DOTALL)
NOTHING = "[^\\s\\S]"


def expression(patterns: Iterable[str]) -> str | None:
    """Return what fits where any of the patterns does, as `fnmatch.fnmatchcase` would say; None where there are none."""
    found = [one(pattern) for pattern in patterns]
    return f"^(?:{'|'.join(found)})$" if found else None


def one(pattern: str) -> str:
    """Return the expression of one pattern."""
    return "".join(
        _single(single) if single else _set(none or some, bool(none)) for none, some, single in PART.findall(pattern)
    )


def _single(letter: str) -> str:
    return {"*": ".*", "?": "."}.get(letter) or _literal(letter)


def _literal(letter: str) -> str:
    return f"\\{letter}" if letter.isascii() and not (letter.isalnum() or letter == "_") else letter


def _set(members: str, negated: bool) -> str:
    """Return a set of letters, each by itself: a range that runs backwards holds none."""
    kept, at = "", 0
    while at < len(members):
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            kept += "".join(map(chr, range(ord(members[at]), ord(members[at + 2]) + 1)))
            at += 3
        else:
            kept += members[at]
            at += 1
    letters = "".join(map(_literal, sorted(set(kept))))
    if not letters:
        return "." if negated else NOTHING
    return f"[{'^' if negated else ''}{letters}]"
