"""A set that ends while its last frame is still being saved: the frame counts, or the set gets no master."""

import asyncio
import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.capture.events.kinds import MasterWritten
from coldframe.capture.pipeline import frame_pipeline
from coldframe.capture.pipeline.frame_pipeline import FramePipeline
from coldframe.capture.session.context import StepFailedError
from coldframe.capture.shooting.set_inputs import BiasInputs
from coldframe.capture.shooting.set_shooting import LEAST_FRAMES, SetShooting
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.threads import DaemonThreads
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame
from tests.capture.contexts import READOUT
from tests.capture.scene import Scene, scene
from tests.patience import PATIENCE_S

BIAS, BIAS_INPUTS = ShootStep(FrameKind.BIAS, 9, None, None, READOUT, None), BiasInputs(0.001)
SLOW = LEAST_FRAMES + 1
"""Number of the frame that the disk takes too long to save."""

Slow = Callable[[Scene, NotDurableError | None], None]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """Return a function that slows the saving of one frame and then skips the set.

    Saving the frame ends, or fails, only after the pipeline no longer waits for it.
    """
    save_frame, drain = NightFolder.save_frame, FramePipeline.drain
    monkeypatch.setattr(frame_pipeline, "DRAIN_DEADLINE_S", 0.05)
    has_given_up = threading.Event()

    async def drain_then_save(pipeline: FramePipeline[object, object], stages: set[asyncio.Task[None]]) -> None:
        await drain(pipeline, stages)
        has_given_up.set()

    def make_slow(seen: Scene, fault: NotDurableError | None) -> None:
        loop = asyncio.get_running_loop()

        def save(folder: NightFolder, frame: Frame, filter_name: str | None, index: int) -> Path:
            if index == SLOW:
                loop.call_soon_threadsafe(seen.context.steering.skip)
                assert has_given_up.wait(PATIENCE_S)
                if fault is not None:
                    raise fault
            return save_frame(folder, frame, filter_name, index)

        monkeypatch.setattr(NightFolder, "save_frame", save)

    monkeypatch.setattr(FramePipeline, "drain", drain_then_save)
    return make_slow


async def threaded(folder: Path) -> Scene:
    """Return a scene whose blocking work runs in threads."""
    seen = await scene(folder)
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    return seen


async def test_a_frame_that_is_saved_late_counts(tmp_path: Path, slow: Slow) -> None:
    seen = await threaded(tmp_path)
    slow(seen, None)
    with seen.running(1):
        shot = await SetShooting(seen.context, 1, BIAS, BIAS_INPUTS).run()
    assert shot.frames == len(seen.accepted) == len(seen.frames_in("biases")) == SLOW
    (master,) = seen.of(MasterWritten)
    assert read_image_header(Path(master.path))["STACKCNT"] == master.frames == SLOW


async def test_a_set_whose_last_frame_fails_to_be_saved_late_has_no_master(
    tmp_path: Path, slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    seen = await threaded(tmp_path)
    slow(seen, NotDurableError(tmp_path, errno.EIO, "check the disk"))
    with seen.running(1), pytest.raises(StepFailedError, match=r"could not be added to it: .*check the disk"):
        await SetShooting(seen.context, 1, BIAS, BIAS_INPUTS).run()
    assert len(seen.accepted) == len(seen.frames_in("biases")) == LEAST_FRAMES
    assert seen.of(MasterWritten) == []
    assert len(seen.frames_in("quarantine")) >= 1
    assert "check the disk" in caplog.text
