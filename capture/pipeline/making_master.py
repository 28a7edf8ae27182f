"""Turn a finished stack into a master, save it to disk, and add it to the library."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.masters.master_frame import MasterFrame
from coldframe.capture.events.kinds import MasterWritten
from coldframe.capture.events.values import Severity
from coldframe.capture.pipeline.accepted_frames import AcceptedFrames
from coldframe.capture.pipeline.frame_stack import FinishedStack
from coldframe.capture.session.context import NightContext
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.threads import in_thread
from coldframe.config.frames import FrameKind


@dataclass(frozen=True, slots=True)
class WrittenMaster:
    """A master that has been saved to disk.

    Attributes
    ----------
    path
        Path of the master's file.
    frames
        Number of combined frames.
    level, noise
        Level and noise of the central region, in ADU; for flats, relative to a mean of 1.
    rejected_fraction
        Fraction of the frames' values that were clipped.
    """

    path: Path
    frames: int
    level: float
    noise: float
    rejected_fraction: float


def master_of(
    accepted: AcceptedFrames,
    finished: FinishedStack,
    *,
    kind: FrameKind,
    filter_name: str | None,
    exposure_s: float,
    subtracted: str | None = None,
    extra_cards: Mapping[str, HeaderValue] | None = None,
    remarks: tuple[Card, ...] = (),
) -> MasterFrame:
    """Return the master of the accepted frames.

    Parameters
    ----------
    accepted
        The accepted frames, at least one.
    finished
        Stack of these frames.
    kind, filter_name, exposure_s
        Kind, filter and exposure of each frame; for twilight flats, the mean exposure.
    subtracted
        Name of the master that was subtracted from each frame; None if no master was subtracted.
    extra_cards
        Cards that are used only if the driver wrote no card with the same keyword.
    remarks
        Cards that coldframe adds in any case.
    """
    first, last = accepted.first, accepted.frames[-1]
    assert first is not None
    return MasterFrame(
        kind=kind,
        stack=finished.stack,
        camera=first.camera,
        settings=first.settings,
        exposure_s=exposure_s,
        sensor_c=accepted.mean_sensor_c,
        setpoint_c=first.setpoint_c,
        filter_name=filter_name,
        method=finished.method,
        inputs=tuple(path.name for path in accepted.paths),
        first_at=first.started_at,
        last_at=last.started_at,
        masked=finished.masked,
        subtracted=subtracted,
        header={**(extra_cards or {}), **first.header},
        overscan=finished.overscan,
        remarks=remarks,
        sensor_range_c=accepted.sensor_range_c,
    )


def save_master(folder: NightFolder, master: MasterFrame) -> WrittenMaster:
    """Save a master durably. This function blocks, so call it in a thread.

    Raises
    ------
    NotDurableError
        If the master could not be written to disk.
    """
    path = folder.save_master(master)
    return WrittenMaster(path, master.stack.frames, master.level, master.noise, master.stack.rejected_fraction)


async def publish_and_file(context: NightContext, number: int, master: WrittenMaster) -> None:
    """Announce the master of step `number` in the event stream, and add it to the library.

    The master is already saved, so a failure to add it to the library is only announced and does not end the step or
    the night.
    """
    context.publish(
        MasterWritten(
            context.clock.now(),
            number,
            str(master.path),
            master.frames,
            master.level,
            master.noise,
            master.rejected_fraction,
        )
    )
    try:
        await in_thread(context.folder.file_master, master.path)
    except (NotDurableError, FrameFileError, OSError) as error:
        context.notice(Severity.WARNING, f"the master was not added to the library: {error}")
