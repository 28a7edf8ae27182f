"""Overscan, with its header sections, levels and exactness, and with hostile headers."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.frames.overscan import (
    PEDESTAL_ADU,
    STEPS_PER_ADU,
    Method,
    Overscan,
    OverscanError,
    Section,
    Sections,
    corrected_copy,
    corrected_header,
    sections_of,
    subtracted_of,
)
from coldframe.calibration.stacking.stack import Stack

HEIGHT, WIDTH, STRIP = 300, 120, 24
SHAPE = (HEIGHT, WIDTH)
RIGHT = Sections(Section(0, HEIGHT, WIDTH - STRIP, WIDTH), Section(0, HEIGHT, 0, WIDTH - STRIP))
LEFT = Sections(Section(0, HEIGHT, 0, STRIP), Section(0, HEIGHT, STRIP, WIDTH))
BELOW = Sections(Section(HEIGHT - STRIP, HEIGHT, 0, WIDTH), Section(0, HEIGHT - STRIP, 0, WIDTH))
METHODS: tuple[Method, ...] = ("row", "smooth")


def header_of(sections: Sections) -> dict[str, HeaderValue]:
    return {"BIASSEC": str(sections.strip), "TRIMSEC": str(sections.kept)}


def drifting(lines: int) -> NDArray[np.float64]:
    """Return the levels of electronics that warm up."""
    return np.asarray(1000 + 4 * np.exp(-np.arange(lines) / 200))


@pytest.mark.parametrize("sections", [RIGHT, LEFT, BELOW])
def test_sections_are_read_from_the_header(sections: Sections) -> None:
    header = header_of(sections)
    assert sections_of(header, SHAPE) == sections
    assert sections_of({"BIASSEC": header["BIASSEC"], "DATASEC": header["TRIMSEC"]}, SHAPE) == sections
    spaced = {keyword: str(value).replace(":", " : ") for keyword, value in header.items()}
    assert sections_of(spaced, SHAPE) == sections


def test_sections_count_from_one_and_include_both_ends() -> None:
    sections = sections_of({"BIASSEC": "[97:120,1:300]", "TRIMSEC": "[1:96,1:300]"}, SHAPE)
    assert sections == RIGHT


@pytest.mark.parametrize("said", ["", "N/A", "UNKNOWN", "none", "[0:0,0:0]"])
def test_headers_without_overscan_are_recognised(said: str) -> None:
    assert sections_of({"BIASSEC": said, "TRIMSEC": "[1:96,1:300]"}, SHAPE) is None
    assert sections_of({}, SHAPE) is None


@pytest.mark.parametrize(
    ("biassec", "trimsec", "said"),
    [
        ("[97:121,1:300]", "[1:96,1:300]", "is not within the frame of 120 x 300 pixels"),
        ("[120:97,1:300]", "[1:96,1:300]", "is not within"),
        ("[0:24,1:300]", "[25:120,1:300]", "is not within"),
        ("[97:120]", "[1:96,1:300]", "is not of the form"),
        ("[97:120,1:300,1:1]", "[1:96,1:300]", "is not of the form"),
        ("[-97:120,1:300]", "[1:96,1:300]", "is not of the form"),
        ("[9e1:1e2,1:300]", "[1:96,1:300]", "is not of the form"),
        ("[1:99999999999999999999,1:300]", "[1:96,1:300]", "is not of the form"),
        ("[97:120,1:300]", "", "but no TRIMSEC or DATASEC"),
        ("[97:120,1:300]", "[1:100,1:300]", "does not lie along a whole side"),
        ("[97:120,1:200]", "[1:96,1:300]", "does not lie along a whole side"),
        ("[97:120,1:300]", "[a:b,c:d]", "TRIMSEC .* is not of the form"),
        ("x" * 5000, "[1:96,1:300]", "is not of the form"),
    ],
)
def test_hostile_sections_give_one_short_message(biassec: str, trimsec: str, said: str) -> None:
    with pytest.raises(OverscanError, match=said) as raised:
        sections_of({"BIASSEC": biassec, "TRIMSEC": trimsec}, SHAPE)
    assert len(str(raised.value)) < 140


NUMBERS = st.sampled_from([0, 1, 2, 96, 97, 120, 121, 299, 300, 301])
TEXTS = st.builds("[{}:{},{}:{}]".format, NUMBERS, NUMBERS, NUMBERS, NUMBERS) | st.text(max_size=30)


@given(TEXTS, TEXTS)
def test_any_text_is_refused_or_is_a_part_of_the_frame(biassec: str, trimsec: str) -> None:
    try:
        sections = sections_of({"BIASSEC": biassec, "TRIMSEC": trimsec}, SHAPE)
    except OverscanError:
        return
    for section in sections or ():
        assert np.empty(SHAPE)[section.slices].shape == section.shape
        assert min(section.shape) > 0


@pytest.mark.parametrize("sections", [RIGHT, LEFT, BELOW])
@pytest.mark.parametrize("method", METHODS)
def test_the_level_follows_the_drift_along_the_strip(sections: Sections, method: Method) -> None:
    rng = np.random.default_rng(1)
    lines = sections.kept.shape[0 if sections.beside else 1]
    level = drifting(max(SHAPE))[:, None] if sections.beside else drifting(max(SHAPE))[None, :]
    pixels = np.rint(rng.normal(level[:HEIGHT, :WIDTH], 20, SHAPE)).astype(np.uint16)
    found = Overscan(sections, method).level_steps(pixels) / STEPS_PER_ADU
    start = sections.kept.top if sections.beside else sections.kept.left
    error = found - drifting(max(SHAPE))[start : start + lines]
    # 20 ADU / sqrt(24); smoothing by a parabola over 101 lines leaves 0.15 of it, more at the ends.
    limit = {"row": 20 / np.sqrt(STRIP) * 1.15, "smooth": 20 / np.sqrt(STRIP) * 0.35}[method]
    assert error.std() < limit
    assert abs(error.mean()) < 4 * 20 / np.sqrt(STRIP * lines)


def test_cosmic_rays_on_pixels_and_lines_do_not_matter() -> None:
    pixels = np.rint(np.random.default_rng(2).normal(1000, 5, SHAPE)).astype(np.uint16)
    clean = {method: Overscan(RIGHT, method).level_steps(pixels) / STEPS_PER_ADU for method in METHODS}
    pixels[40, WIDTH - 3] = 60000
    struck = Overscan(RIGHT, "row").level_steps(pixels) / STEPS_PER_ADU
    assert abs(struck[40] - clean["row"][40]) < 1
    pixels[200:203, WIDTH - STRIP :] += 5000
    smooth = Overscan(RIGHT, "smooth").level_steps(pixels) / STEPS_PER_ADU
    np.testing.assert_allclose(smooth, clean["smooth"], atol=0.25)


@pytest.mark.parametrize("noise_steps", [0.1, 0.4, 0.7])
def test_the_level_is_right_for_twelve_bits_in_sixteen(noise_steps: float) -> None:
    rng = np.random.default_rng(2)
    frame = (16 * np.rint(rng.normal(30.3, noise_steps, SHAPE))).astype(np.uint16)
    levels_adu = Overscan(RIGHT, "row").level_steps(frame) / STEPS_PER_ADU
    assert levels_adu.mean() == pytest.approx(frame[:, WIDTH - STRIP :].mean(), abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_the_parts_of_a_corrected_frame_add_up_to_the_raw_frame(method: Method) -> None:
    overscan = Overscan(RIGHT, method)
    pixels = np.random.default_rng(3).integers(900, 60000, SHAPE).astype(np.uint16)
    pixels[:, WIDTH - STRIP :] = np.rint(drifting(HEIGHT))[:, None]
    corrected, rest = overscan.correct(pixels)
    steps = overscan.level_steps(pixels).astype(np.int64)
    assert np.abs(rest).max() <= STEPS_PER_ADU // 2
    exact = (pixels[RIGHT.kept.slices].astype(np.int64) + PEDESTAL_ADU) * STEPS_PER_ADU - steps[:, None]
    np.testing.assert_array_equal(corrected.astype(np.int64) * STEPS_PER_ADU - rest[:, None], exact)
    np.testing.assert_allclose(overscan.signal(pixels), exact / STEPS_PER_ADU - PEDESTAL_ADU, rtol=1e-6)
    floats, float_rest = overscan.correct(pixels.astype(np.float32))
    np.testing.assert_array_equal(floats, corrected)
    np.testing.assert_array_equal(float_rest, rest)


def test_values_do_not_wrap_around() -> None:
    pixels = np.full(SHAPE, 200, np.uint16)
    pixels[0, 0], pixels[0, 1], pixels[:, WIDTH - STRIP :] = 65535, 0, 2000
    corrected, _ = Overscan(RIGHT, "row").correct(pixels)
    assert (corrected[0, 0], corrected[0, 1], corrected[1, 1]) == (64559, 0, 0)
    pixels[:, WIDTH - STRIP :] = 100
    corrected, _ = Overscan(RIGHT, "row").correct(pixels)
    assert corrected[0, 0] == 65535


@given(st.integers(0, 2**32 - 1), st.permutations(range(5)))
def test_the_master_does_not_depend_on_the_order_of_the_frames(seed: int, order: list[int]) -> None:
    rests = np.random.default_rng(seed).integers(-512, 513, (5, 4)).astype(np.int32)
    sections = Sections(Section(0, 4, 3, 6), Section(0, 4, 0, 3))
    stack = Stack(5, np.full((4, 3), 1500, np.float32), np.ones((4, 3), np.float32), np.full((4, 3), 5, np.uint16), 0)
    one = Overscan(sections, "row").restored(stack, list(rests)).mean
    other = Overscan(sections, "row").restored(stack, [rests[number] for number in order]).mean
    assert one.tobytes() == other.tobytes()
    np.testing.assert_allclose(one[:, 0], 1500 - PEDESTAL_ADU - rests.mean(axis=0) / STEPS_PER_ADU, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_drift_between_frames_is_removed_from_their_mean(method: Method) -> None:
    rng = np.random.default_rng(4)
    overscan = Overscan(RIGHT, method)
    true = rng.uniform(0, 50, (HEIGHT, WIDTH - STRIP))
    total, rests = np.zeros(RIGHT.kept.shape), []
    for drift in np.linspace(-6, 6, 40):
        level = drifting(HEIGHT)[:, None] + drift
        frame = np.rint(rng.normal(level, 3, SHAPE))
        frame[RIGHT.kept.slices] += np.rint(true)
        corrected, rest = overscan.correct(frame.astype(np.uint16))
        total += corrected
        rests.append(rest)
    mean = (total / 40).astype(np.float32)
    stack = Stack(40, mean, np.ones_like(mean), np.full(mean.shape, 40, np.uint16), 0)
    left = overscan.restored(stack, rests).mean - np.rint(true)
    assert left.std() < 1.06 * np.sqrt(9 / 40 + 9 / 40 / STRIP)
    assert abs(left.mean()) < 0.05


def test_the_header_is_adapted_to_the_kept_part() -> None:
    overscan = Overscan(LEFT, "smooth")
    header = corrected_header(
        {**header_of(LEFT), "CRPIX1": 60.5, "CRPIX2": 150.0, "BAYERPAT": "RGGB", "EXPTIME": 2.0}, overscan
    )
    assert header == {
        "CRPIX1": 60.5 - STRIP, "CRPIX2": 150.0, "BAYERPAT": "RGGB", "XBAYROFF": STRIP, "YBAYROFF": 0, "EXPTIME": 2.0,
    }  # fmt: skip


def test_the_subtraction_is_read_back_from_the_header() -> None:
    for sections in (RIGHT, LEFT, BELOW):
        for method in METHODS:
            overscan = Overscan(sections, method)
            assert subtracted_of({card.keyword: card.value for card in overscan.cards}) == overscan
    for text in ("Apr 1 Overscan section is [1:2,1:2]", "smooth", "magic [1:2,1:3]", "row [1:2,1:3]"):
        assert subtracted_of({"OVERSCAN": text, "TRIM": "yes"}) is None


@pytest.mark.parametrize("dtype", ["u2", "u1", "i4", "f4"])
def test_a_corrected_copy_reads_as_the_corrected_frame(dtype: str, tmp_path: Path) -> None:
    from astropy.io import fits  # noqa: PLC0415 - for this test only

    pixels = np.random.default_rng(5).integers(50, 200, SHAPE).astype(dtype)
    path = tmp_path / "raw.fits"
    fits.PrimaryHDU(pixels).writeto(path)
    image = open_image(path, tmp_path)
    overscan = Overscan(RIGHT, "smooth")
    copy, rest = corrected_copy(image, overscan, tmp_path)
    wanted = overscan.correct(image.pixels())
    np.testing.assert_array_equal(copy.pixels(), wanted.pixels)
    np.testing.assert_array_equal(rest, wanted.rest)
    assert (copy.path, copy.bits) == (path, 16 if dtype in {"u1", "u2"} else -32)
    assert copy.stored.parent == tmp_path
