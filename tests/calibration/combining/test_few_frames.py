"""The method for small sets."""

from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.combining.few_frames import fewest_to_reject, method_for, weakness
from coldframe.calibration.files.image_file import ImageFile
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.column_sort import combine_columns
from coldframe.calibration.stacking.methods import Mean, Median, MedianClipping, Method, Winsorizing

LIMITED = [Median(), Clipping(), Clipping(start="all"), Clipping(2.5, start="all"), MedianClipping(), Winsorizing()]


def rejects(folder: Path, frames: int, method: Method) -> bool:
    """Return whether the method removes an outlier of 10,000 ADU from one of the frames."""
    images = []
    for number in range(frames):
        pixels = np.random.default_rng(number).normal(500, 9, (8, 64))
        pixels[4, 7] += 10_000 if number == 1 else 0
        path = folder / f"{number}.raw"
        path.write_bytes((np.rint(pixels).astype(np.int32) - 32768).astype(">i2").tobytes())
        images.append(ImageFile(path, path, 0, (8, 64), 16, 32768, 1, {}))
    return bool(combine_columns(images, method).mean[4, 7] < 530)


@pytest.mark.parametrize("method", LIMITED, ids=str)
def test_the_fewest_frames_are_what_the_method_needs(tmp_path: Path, method: Method) -> None:
    fewest = int(fewest_to_reject(method))
    assert rejects(tmp_path, fewest, method)
    assert not rejects(tmp_path, fewest - 1, method)


def test_the_chosen_method_rejects_from_three_frames_on(tmp_path: Path) -> None:
    assert [type(method_for(frames)) for frames in (3, 4, 5, 8)] == [Median, Median, Clipping, Clipping]
    assert all(rejects(tmp_path, frames, method_for(frames)) for frames in range(3, 10))


@pytest.mark.parametrize(
    ("frames", "method", "is_chosen", "said"),
    [
        (2, Clipping(), False, "nothing can be rejected from two frames"),
        (4, Median(), False, "the median is used"),
        (4, Median(), True, None),
        (4, Clipping(), True, "rejects nothing from 4 frames"),
        (6, Clipping(), False, "only one outlier per pixel"),
        (8, Clipping(), False, None),
        (9, Clipping(start="all"), True, "rejects nothing from 9 frames"),
        (3, Mean(), True, None),
    ],
)
def test_what_cannot_be_rejected_is_said(frames: int, method: Method, is_chosen: bool, said: str | None) -> None:  # noqa: FBT001
    text = weakness(frames, method, is_chosen=is_chosen)
    assert text is None if said is None else said in (text or "")
