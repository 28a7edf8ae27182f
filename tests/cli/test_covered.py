"""The question to the user whether a telescope without a movable cover is covered."""

import asyncio
import os
import pty
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from coldframe.cli import covered
from coldframe.cli.covered import is_covered
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.devices.rig import Rig
from coldframe.operations.nights.covered import must_be_covered


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Yield the end of a terminal at which a user types the answers that `sys.stdin` reads."""
    user, terminal = pty.openpty()
    with os.fdopen(terminal, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield user
    os.close(user)


@pytest.mark.parametrize("answer", ["y\n", "\n", "n\n", "No\n"])
async def test_the_answer_decides(keyboard: int, capsys: pytest.CaptureFixture[str], answer: str) -> None:
    asking = asyncio.create_task(is_covered())
    await asyncio.sleep(0)
    os.write(keyboard, answer.encode())
    assert await asking is (answer.lower()[0] != "n")
    assert "must be covered for bias frames and darks" in capsys.readouterr().out


async def test_an_unattended_night_does_not_wait_for_an_answer(keyboard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    del keyboard
    monkeypatch.setattr(covered, "ANSWER_S", 0.05)
    assert await is_covered()


def test_only_darks_without_a_cover_need_one() -> None:
    settings = load_settings(example_night("small"))
    device: Any = SimpleNamespace(has_cover=False)
    bare = Rig(device, panel=device)
    assert must_be_covered(settings, bare)
    assert not must_be_covered(settings, replace(bare, cover=device))
    assert not must_be_covered(settings, replace(bare, panel=SimpleNamespace(has_cover=True)))
    flats = tuple(each for each in settings.sets if each.kind is FrameKind.FLAT)
    assert not must_be_covered(settings.model_copy(update={"sets": flats}), bare)
