"""Use frames that an earlier run of the same night left on disk, as if the camera had just delivered them."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from coldframe.capture.events.values import Severity
from coldframe.capture.pipeline.delivered_frames import publish_rejected
from coldframe.capture.session.context import NightContext
from coldframe.capture.storage.saved_frames import SavedFrame, Wanted
from coldframe.capture.threads import in_thread
from coldframe.config.frames import ReadoutSettings


async def take_over(
    context: NightContext,
    wanted: Wanted,
    settings: ReadoutSettings,
    is_complete: Callable[[], bool],
    count: Callable[[SavedFrame], Awaitable[None]],
) -> None:
    """Judge and count saved frames until the set is complete or no saved frame is left.

    Parameters
    ----------
    context
        The night.
    wanted
        Description of the frames that belong to the set.
    settings
        Current readout settings of the camera. Frames with different settings are left out, and a notice reports them.
    is_complete
        Function that returns True if the set needs no further frame.
    count
        Function that judges one frame, and then counts it or withdraws it.

    Raises
    ------
    NotDurableError
        If a damaged frame could not be moved to quarantine.
    """
    while not is_complete():
        saved = await in_thread(context.saved.take, wanted, settings)
        for fault in context.saved.faults():
            context.notice(Severity.WARNING, fault)
        if saved is None:
            return
        await count(saved)


async def withdraw(context: NightContext, number: int, path: Path, reason: str) -> None:
    """Move a saved frame to quarantine, because it does not count, or no longer counts, towards the set of a step.

    Raises
    ------
    NotDurableError
        If the frame could not be moved, or the reason could not be written to disk.
    """
    aside = await in_thread(context.folder.quarantine_saved, path, reason)
    publish_rejected(context, number, aside, reason)
