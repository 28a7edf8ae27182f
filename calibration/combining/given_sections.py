"""Overscan sections that the user specifies for frames whose headers lack them or contain wrong ones."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from coldframe.calibration.combining.frame_sets import RawFrame
from coldframe.calibration.frames.overscan import OverscanError, sections_of


class GivenSections(NamedTuple):
    """Sections of the form [x1:x2,y1:y2] that replace the header cards with their names; None leaves a card unchanged.

    Attributes
    ----------
    biassec
        Section of the overscan.
    trimsec
        Section of the image.
    """

    biassec: str | None = None
    trimsec: str | None = None

    def applied_to(self, frames: Iterable[RawFrame]) -> list[RawFrame]:
        """Return the frames with these sections in their headers.

        Raises
        ------
        OverscanError
            If the sections are malformed, lie outside a frame, or do not fit together.
        """
        given = {"BIASSEC": self.biassec, "TRIMSEC": self.trimsec}
        cards = {keyword: text for keyword, text in given.items() if text is not None}
        return [_with_cards(frame, cards) for frame in frames] if cards else list(frames)


def _with_cards(frame: RawFrame, cards: dict[str, str]) -> RawFrame:
    header = {**frame.image.header, **cards}
    try:
        sections = sections_of(header, frame.image.shape)
    except OverscanError as error:
        raise OverscanError(f"{frame.image.path}: {error}") from error
    if sections is None:
        raise OverscanError(f"{frame.image.path}: the overscan is unknown: specify its section with --biassec")
    return replace(frame, image=replace(frame.image, header=header), setup=replace(frame.setup, sections=sections))
