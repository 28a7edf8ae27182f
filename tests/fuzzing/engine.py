"""Runs many inputs, and bounds the time and the memory that they may take."""

import random
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LONGEST_S = 2.0
"""CPU time of one input, which does not depend on other processes; typical is a thousandth of it."""

MOST_GROWTH_BYTES = 64 << 20

Act = Callable[[bytes, random.Random, Path], None]
"""Reads an input; gets a source of chance and an empty folder. Raises only what the reader must not raise."""


@contextmanager
def memory_bounded() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MOST_GROWTH_BYTES


def run(act: Act, numbered: Iterable[tuple[int, bytes]], valid: Sequence[bytes], name: str, place: Path) -> None:
    """Run `act` on the valid inputs, then on all numbered inputs."""
    for warming in valid:
        act(warming, random.Random(0), place)
    with memory_bounded():
        for number, text in numbered:
            began_s = time.thread_time()
            try:
                act(text, random.Random(number), place)
            except Exception as error:
                raise AssertionError(f"{name}, input {number}: {text!r}") from error
            assert time.thread_time() - began_s < LONGEST_S, f"{name}, input {number}: {text!r}"
