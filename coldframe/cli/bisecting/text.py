"""The result of a bisection as text for a terminal: the sentences first, then the masters and the table."""

import textwrap
from collections.abc import Iterator

from coldframe.cli.bisecting.results import (
    BisectionResult,
    left_text,
    master_text,
    not_compared,
    shoot_command,
    verdict,
)
from coldframe.visible import visible

WIDTH = 80
_SCORE = 6
_LEAST_LEFT = 16


def text_of(result: BisectionResult) -> str:
    """Return the result as text, at most 80 columns wide except for long names and commands."""
    blocks = [_wrapped(verdict(result)), list(_masters(result)), list(_table(result)), list(_endings(result))]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _masters(result: BisectionResult) -> Iterator[str]:
    count = len(result.bisected.read)
    yield from _wrapped(f"{count} {'light' if count == 1 else 'lights'}: {result.name}", "", "  ")
    for master in result.candidates.all:
        described = master_text(result, master)
        text = master.path.name + (f" ({described})" if described else "")
        yield from _wrapped(text, f"  {master.key:<4}", " " * 6)


def _table(result: BisectionResult) -> Iterator[str]:
    comparison = result.comparison
    darks = max(len("dark"), *(len(row.dark.key) for row in comparison.rows))
    flats = max(len("flat"), *(len(row.flat.key) for row in comparison.rows))
    yield f"{'score':>{_SCORE}}  {'dark':<{darks}}  {'flat':<{flats}}  leaves"
    for row in comparison.rows:
        first = f"{comparison.score(row):>{_SCORE},.0f}  {row.dark.key:<{darks}}  {row.flat.key:<{flats}}  "
        width = max(WIDTH, len(first) + _LEAST_LEFT)
        yield from textwrap.wrap(
            left_text(comparison, row), width, initial_indent=first, subsequent_indent=" " * len(first)
        )


def _endings(result: BisectionResult) -> Iterator[str]:
    for note in result.notes:
        yield from _wrapped(note, "", "  ")
    for reason, witnesses in not_compared(result).items():
        yield from _wrapped(f"not compared: {', '.join(witnesses)}, because {reason}", "", "  ")
    command = shoot_command(result)
    if command is not None:
        yield "Shoot the missing frames, and bisect again:"
        yield f"  {visible(command)}"


def _wrapped(text: str, first: str = "", following: str = "") -> list[str]:
    return textwrap.wrap(
        visible(text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=following,
        break_long_words=False,
        break_on_hyphens=False,
    )
