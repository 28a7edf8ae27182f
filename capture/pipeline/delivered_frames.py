"""Hold the frames that the camera has delivered until they are saved in files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.events.kinds import FrameRejected
from coldframe.capture.events.values import Severity
from coldframe.capture.session.context import NightContext
from coldframe.capture.threads import DiskHangsError, in_thread
from coldframe.devices.camera import Frame

NOT_JUDGED = "its set ended before it was judged"


@dataclass(frozen=True, slots=True, eq=False)
class _Delivered:
    frame: Frame
    filter: str | None


class DeliveredFrames:
    """The frames of one step that are not yet on disk, in the order in which the camera delivered them.

    Parameters
    ----------
    context
        The night.
    number
        Number of the step, for events.
    """

    def __init__(self, context: NightContext, number: int) -> None:
        self._context = context
        self._number = number
        self._frames: list[_Delivered] = []

    def add(self, frame: Frame, filter_name: str | None) -> None:
        """Add a frame as soon as the camera delivers it, with the filter that was in the beam."""
        self._frames.append(_Delivered(frame, filter_name))

    async def save(self, frame: Frame, index: int) -> Path:
        """Save a frame of a set under its number in the set, and return the path of its file.

        Raises
        ------
        NotDurableError
            If the frame could not be written to disk.
        """
        folder = self._context.folder
        return await in_thread(self._write, frame, lambda each: folder.save_frame(each.frame, each.filter, index))

    async def save_test(self, frame: Frame) -> None:
        """Save a test frame.

        Raises
        ------
        NotDurableError
            If the frame could not be written to disk.
        """
        folder = self._context.folder
        await in_thread(self._write, frame, lambda each: folder.save_test(each.frame, each.filter))

    async def reject(self, frame: Frame, reason: str) -> None:
        """Save a frame in quarantine, together with the reason for its rejection.

        Raises
        ------
        NotDurableError
            If the frame could not be written to disk.
        """
        path = await in_thread(self._quarantine, frame, reason)
        publish_rejected(self._context, self._number, path, reason)

    async def rescue(self) -> None:
        """Save to quarantine all frames that a failure or a cancellation kept from being saved."""
        if not self._frames:
            return
        paths, faults = list[Path](), list[NotDurableError]()
        try:
            # Save all frames in one thread call, which a second cancellation does not interrupt.
            await in_thread(self._rescue, paths, faults)
        except DiskHangsError as error:
            count = len(self._frames)
            frames = "1 frame" if count == 1 else f"{count} frames"
            self._context.notice(Severity.ERROR, f"{frames} may be lost: {error}")
        finally:
            for path in paths:
                publish_rejected(self._context, self._number, path, NOT_JUDGED)
            for fault in faults:
                self._context.notice(Severity.ERROR, f"a frame is lost: {fault}")

    def _rescue(self, paths: list[Path], faults: list[NotDurableError]) -> None:
        for each in tuple(self._frames):
            try:
                paths.append(self._quarantine(each.frame, NOT_JUDGED))
            except NotDurableError as error:
                faults.append(error)
        self._frames.clear()

    def _quarantine(self, frame: Frame, reason: str) -> Path:
        folder = self._context.folder
        return self._write(frame, lambda each: folder.quarantine(each.frame, each.filter, reason))

    def _write(self, frame: Frame, write: Callable[[_Delivered], Path]) -> Path:
        # Compare by identity, because a camera can deliver the same frame twice.
        each = next(each for each in self._frames if each.frame is frame)
        path = write(each)
        self._frames.remove(each)
        return path


def publish_rejected(context: NightContext, number: int, path: Path, reason: str) -> None:
    """Announce in the event stream that a frame was rejected and is in quarantine."""
    context.publish(FrameRejected(context.clock.now(), number, str(path), reason))
