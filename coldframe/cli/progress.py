"""The progress bar of commands that read many lights."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from coldframe.cli.console import VisibleConsole


def progress(total: int, activity: str) -> AbstractContextManager[Callable[[], None]]:
    """Show a progress bar if stderr is a terminal; yield the function that advances it by one light."""
    return _bar(total, activity) if sys.stderr.isatty() else nullcontext(lambda: None)


@contextmanager
def _bar(total: int, activity: str) -> Iterator[Callable[[], None]]:
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=VisibleConsole(stderr=True), transient=True) as bar:
        task = bar.add_task(activity, total=total)
        yield partial(bar.advance, task)
