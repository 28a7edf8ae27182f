"""The simulated nights have the noise, the masters and the faults that they claim to have.

Nights of one seed differ only by their fault, so the difference of two is the fault without noise.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import read_frame, read_header
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.lights.recipe import Subtract, recipe_for
from coldframe.calibration.masters.reading import read_master
from coldframe.config.frames import FrameKind
from tests.calibration.diagnosis import faults
from tests.calibration.diagnosis.calibration_frames import clean_optics, single_mote
from tests.calibration.diagnosis.faults import Fault
from tests.calibration.diagnosis.headers import PROGRAMS
from tests.calibration.diagnosis.nights import Night, Simulated, calibrated, draw, simulate, write

F32 = NDArray[np.float32]

SKY_ADU = 600.0
PLAIN = Night(
    4, lights=4, size=(240, 320), sky_adu=SKY_ADU, sky_drift=0.0, gradient=0.0, nebula_fill=0.0, stars=0, trails=0,
    filter_motes=4, sensor_motes=6, row_noise_adu=0.0, jitter_adu=0.0, flickering=0.0,
)  # fmt: skip
"""A night without structure in the sky."""

COLOUR = replace(PLAIN, mosaic="RGGB")


@cache
def clean(night: Night) -> Simulated:
    return simulate(night)


def stacked(simulated: Simulated) -> F32:
    mean: F32 = np.mean(list(calibrated(simulated)), axis=0, dtype=np.float32)
    return mean


def left(fault: Fault, night: Night = PLAIN) -> F32:
    """Return what a fault leaves in the mean of the calibrated lights, ADU."""
    return stacked(simulate(night, fault)) - stacked(clean(night))


def ends(plane: F32) -> tuple[float, float]:
    """Return the medians of the first and the last tenth of the columns."""
    tenth = plane.shape[1] // 10
    return float(np.median(plane[:, :tenth])), float(np.median(plane[:, -tenth:]))


def hot_places(simulated: Simulated) -> NDArray[np.intp]:
    charge = simulated.frames.dark.mean_adu - simulated.frames.bias.mean_adu
    return np.flatnonzero(charge > np.median(charge) + 150)


def test_the_same_seed_gives_the_same_night() -> None:
    night = draw(3, size=(120, 160), lights=2)
    one, two = simulate(night), simulate(night)
    assert all(np.array_equal(a, b) for a, b in zip(one.lights, two.lights, strict=True))
    assert np.array_equal(one.masters.flat.mean, two.masters.flat.mean)
    assert one.headers == two.headers
    assert not np.array_equal(one.lights[0], simulate(draw(4, size=(120, 160), lights=2)).lights[0])


def test_a_property_can_be_replaced_without_changing_the_others() -> None:
    assert draw(5, lights=3) == replace(draw(5), lights=3)


def test_drawn_nights_stay_within_the_ranges() -> None:
    nights = [draw(seed) for seed in range(300)]
    assert all(250 <= night.sky_adu <= 1000 and 0.1 <= abs(night.sky_drift) <= 0.4 for night in nights)
    assert all(0.01 <= night.gradient <= 0.1 and 25 <= abs(night.gradient_turn_deg) <= 70 for night in nights)
    assert all(8 <= night.dither_px <= 25 and 30 <= night.nebula_adu <= 200 for night in nights)
    assert 0.2 < np.mean([night.flip for night in nights]) < 0.4
    assert 17 < np.median([night.noise_adu for night in nights]) < 33


def test_a_fault_of_the_masters_leaves_the_lights_as_they_are() -> None:
    other = simulate(PLAIN, faults.dark_temperature_c(2.0))
    assert all(np.array_equal(a, b) for a, b in zip(clean(PLAIN).lights, other.lights, strict=True))


def test_lights_have_the_noise_of_their_photons() -> None:
    one, two = (light.astype(np.float32) for light in clean(PLAIN).lights[:2])
    response = clean(PLAIN).masters.flat.mean
    signal = one - clean(PLAIN).masters.dark.mean
    dark = clean(PLAIN).frames.dark.mean_adu - clean(PLAIN).frames.bias.mean_adu
    ordinary = dark < np.median(dark) + 5
    expected = (SKY_ADU * response + dark) / PLAIN.e_per_adu + PLAIN.read_noise_adu**2 + 1 / 12
    ratio = np.square(one - two)[ordinary].mean() / (2 * expected[ordinary].mean())
    assert ratio == pytest.approx(1, abs=0.03)
    assert np.mean(signal[ordinary] / response[ordinary]) == pytest.approx(SKY_ADU, rel=0.002)


def test_few_electrons_are_counted() -> None:
    dim = replace(PLAIN, sky_adu=5.0, read_noise_adu=0.5, glow_adu=0.0, current_adu=0.1, hot_fraction=0.0)
    light = simulate(dim).lights[0] - np.median(simulate(dim).lights[0])
    # A Poisson distribution of 4 electrons is skewed by a half.
    skewness = np.mean((light - light.mean()) ** 3) / light.std() ** 3
    assert 0.3 < skewness < 0.6


@pytest.mark.parametrize("kind", ["bias", "dark", "dark_flat"])
def test_masters_scatter_by_their_uncertainty(kind: str) -> None:
    simulated = clean(PLAIN)
    master, truth = getattr(simulated.masters, kind), getattr(simulated.frames, kind)
    error = (master.mean - truth.mean_adu) / master.uncertainty
    assert np.mean(error) == pytest.approx(0, abs=0.02)
    assert np.mean(np.square(error)) == pytest.approx(1, abs=0.03)
    ratio = np.median(master.frame_variance) / np.median(truth.variance_adu2)
    assert ratio == pytest.approx(1, abs=0.1)


def test_the_masters_are_those_that_coldframe_makes_of_the_frames() -> None:
    from tests.outside.observatory import stacked as combined  # noqa: PLC0415 - needs the rigs only here

    night = replace(PLAIN, size=(60, 80), darks=20, flickering=0.3, hot_fraction=0.02)
    simulated = simulate(night)
    made = combined(20, lambda number: simulated.frames.raw(night, FrameKind.DARK, number))
    drawn = simulated.masters.frames[0].stack
    assert np.median(made.uncertainty) == pytest.approx(np.median(drawn.uncertainty), rel=0.03)
    assert made.rejected_fraction == pytest.approx(drawn.rejected_fraction, abs=0.002)
    scatter = 1.4826 * np.median(np.abs(made.mean - drawn.mean))
    assert scatter == pytest.approx(np.sqrt(2) * np.median(made.uncertainty), rel=0.15)


def test_a_clean_night_calibrates_flat() -> None:
    simulated = clean(replace(PLAIN, glow_adu=0.0))
    dark = simulated.frames.dark.mean_adu - simulated.frames.bias.mean_adu
    left_over = np.where(dark < np.median(dark) + 20, stacked(simulated), np.nan)
    tiles = np.nanmean(left_over.reshape(12, 20, 16, 20), axis=(1, 3))
    noise = np.nanmedian(np.abs(left_over - np.nanmedian(left_over))) * 1.4826
    assert noise == pytest.approx(PLAIN.noise_adu / 2, rel=0.12)
    assert np.mean(tiles) == pytest.approx(SKY_ADU, rel=0.002)
    assert np.std(tiles) < 1.6 * noise / 20


def test_hot_pixels_are_removed() -> None:
    simulated = clean(PLAIN)
    hot = hot_places(simulated)
    assert hot.size > 40
    raw = simulated.lights[0].reshape(-1)[hot]
    assert np.median(raw) > np.median(simulated.lights[0]) + 200
    assert np.median(stacked(simulated).reshape(-1)[hot]) == pytest.approx(SKY_ADU, abs=10)


@pytest.mark.parametrize("target", [{"stars": 800}, {"nebula_fill": 0.6, "nebula_adu": 400.0}], ids=["stars", "nebula"])
def test_the_sky_moves_with_the_dithers_and_turns_at_the_flip(target: dict[str, Any]) -> None:
    night = replace(PLAIN, **target, dither_px=12.0, flip=True, lights=6, fwhm_px=4.5, e_per_adu=20.0)
    simulated = simulate(night)
    inner = np.s_[50:-50, 50:-50]
    first, *others = calibrated(simulated)
    assert {pointing.flipped for pointing in simulated.pointings} == {False, True}
    for image, pointing in zip(others, simulated.pointings[1:], strict=True):
        upright = image[::-1, ::-1] if pointing.flipped else image
        same = np.roll(upright, (round(pointing.dy), round(pointing.dx)), (0, 1))
        aligned, as_it_is = (float(np.std((other - first)[inner])) for other in (same, image))
        assert aligned < 0.7 * as_it_is


def test_an_offset_is_left_in_the_lights() -> None:
    assert np.median(left(faults.offset_adu(20)) * clean(PLAIN).masters.flat.mean) == pytest.approx(20, abs=0.1)


def test_only_later_lights_have_a_fault_that_begins_later() -> None:
    since = list(calibrated(simulate(PLAIN, faults.offset_adu(20).from_light(2))))
    before = list(calibrated(clean(PLAIN)))
    changes = [float(np.median(one - two)) for one, two in zip(since, before, strict=True)]
    assert changes == pytest.approx([0, 0, 20, 20], abs=1)


def test_the_bias_is_left_in_the_lights() -> None:
    assert np.median(left(faults.light_pedestal())) == pytest.approx(PLAIN.bias_adu, rel=0.02)


@pytest.mark.parametrize("fraction", [0.04, -0.03])
def test_a_pedestal_in_the_flats_miscorrects_the_corners(fraction: float) -> None:
    flat = clean(PLAIN).masters.flat.mean
    spoiled = simulate(PLAIN, faults.flat_pedestal(fraction))
    pedestal = fraction * np.median(flat[60:-60, 80:-80])
    expected = SKY_ADU * flat * (1 + pedestal) / (flat + pedestal) - SKY_ADU
    change = left(faults.flat_pedestal(fraction))
    slope = np.polyfit(expected.reshape(-1), change.reshape(-1), 1)[0]
    assert slope == pytest.approx(1, abs=0.05)
    assert spoiled.masters.flat.header["CFSUBTR"].startswith("MasterBias_")  # type: ignore[union-attr]
    dark_flat = spoiled.masters.dark_flat
    assert dark_flat is not None
    above = np.median(dark_flat.mean - spoiled.masters.bias.mean)
    assert above == pytest.approx(fraction * PLAIN.flat_adu, rel=0.02)


def test_an_unsubtracted_flat_flattens_too_little() -> None:
    spoiled = simulate(PLAIN, faults.unsubtracted_flat())
    assert np.std(spoiled.masters.flat.mean) < 0.99 * np.std(clean(PLAIN).masters.flat.mean)
    assert "CFSUBTR" not in spoiled.masters.flat.header


def test_a_leak_is_subtracted_from_the_lights() -> None:
    change = left(faults.dark_leak_adu(40, angle_deg=0)) * clean(PLAIN).masters.flat.mean
    assert ends(change) == pytest.approx((-2, -38), abs=1)
    lit = simulate(PLAIN, faults.lit_dark(50)).masters.dark.mean - clean(PLAIN).masters.dark.mean
    assert np.median(lit / clean(PLAIN).masters.flat.mean) == pytest.approx(50, abs=1)


@pytest.mark.parametrize("warmer_c", [0.5, -1.0])
def test_a_warmer_dark_over_subtracts_hot_pixels(warmer_c: float) -> None:
    spoiled = simulate(PLAIN, faults.dark_temperature_c(warmer_c))
    hot = hot_places(clean(PLAIN))
    current = clean(PLAIN).masters.dark.mean.reshape(-1)[hot] - PLAIN.bias_adu
    growth = (spoiled.masters.dark.mean.reshape(-1)[hot] - PLAIN.bias_adu).sum() / current.sum()
    assert growth == pytest.approx(2 ** (warmer_c / 6), rel=0.01)
    assert np.median(left(faults.dark_temperature_c(warmer_c)).reshape(-1)[hot]) * warmer_c < 0
    assert spoiled.masters.dark.header["CCD-TEMP"] == pytest.approx(-10 + warmer_c)


def test_a_longer_dark_has_more_current_and_glow() -> None:
    spoiled = simulate(PLAIN, faults.dark_exposure(1.5)).masters.dark
    sets = clean(PLAIN).frames
    charge = sets.dark.mean_adu - sets.bias.mean_adu
    assert np.polyfit(charge.reshape(-1), (spoiled.mean - sets.bias.mean_adu).reshape(-1), 1)[0] == pytest.approx(
        1.5, abs=0.01
    )
    assert spoiled.header["EXPTIME"] == pytest.approx(270)
    assert simulate(PLAIN, faults.dark_exposure(1.5, told=False)).masters.dark.header["EXPTIME"] == pytest.approx(180)


def test_a_scaled_dark_leaves_glow_but_no_hot_pixels() -> None:
    simulated = simulate(PLAIN, faults.dark_scaled(3.0))
    assert simulated.masters.dark_scale == pytest.approx(1 / 3)
    change = left(faults.dark_scaled(3.0))
    glow = left(faults.glow(0.0))
    bright = glow > 0.6 * glow.max()
    # The dark has 3 ^ 0.5 times the glow, of which a third is subtracted.
    assert np.median(change[bright] / glow[bright]) == pytest.approx(1 - 3**0.5 / 3, abs=0.05)
    assert np.median(change.reshape(-1)[hot_places(clean(PLAIN))]) == pytest.approx(np.median(change), abs=10)


def test_glow_is_left_by_its_factor() -> None:
    half, all_of_it = left(faults.glow(0.5)), left(faults.glow(0.0))
    bright = all_of_it > 0.6 * all_of_it.max()
    assert np.median(half[bright] / all_of_it[bright]) == pytest.approx(0.5, abs=0.03)
    assert 0.5 * PLAIN.glow_adu < np.quantile(all_of_it, 0.9999) < 3 * PLAIN.glow_adu


@pytest.mark.parametrize(
    "fault",
    [
        faults.dust_shift_px(6), faults.dust_rotation_deg(3, form="dust"), faults.dust_rotation_deg(180),
        faults.dust_rotation_deg(90), faults.focus(1.15), faults.focus(0.85), faults.other_filter_flat(),
    ],
    ids=str,
)  # fmt: skip
def test_dust_that_changed_leaves_rings(fault: Fault) -> None:
    change = np.abs(left(fault) / SKY_ADU)
    deepest = max(mote.depth for mote in clean_optics(PLAIN).motes)
    assert 0.3 * deepest < np.quantile(change, 0.9995) < 2 * deepest
    if fault.name in {"dust-shift", "focus"}:
        assert np.median(change) < 0.002


def test_shifted_dust_is_bright_behind_and_dark_before() -> None:
    night = replace(PLAIN, filter_motes=0, sensor_motes=60)
    mote = max(clean_optics(night).motes, key=lambda each: _is_within(each.y, each.x) * each.depth)
    change = left(faults.dust_shift_px(8, angle_deg=0), night) / SKY_ADU
    row = change[round(mote.y) - 2 : round(mote.y) + 3].mean(axis=0)
    radius = mote.diameter_px / 2
    behind, before = round(mote.x - radius + 4), round(mote.x + radius + 4)
    assert row[behind] == pytest.approx(mote.depth, rel=0.5)
    assert row[before] == pytest.approx(-mote.depth, rel=0.5)


def _is_within(y: float, x: float) -> bool:
    return 60 < y < PLAIN.size[0] - 60 and 60 < x < PLAIN.size[1] - 60


def test_focus_changes_the_size_of_shadows() -> None:
    wider = faults.focus(1.2)
    one, two = clean_optics(PLAIN).motes[0], clean_optics(PLAIN).motes[0].grown(wider.strength)
    assert two.diameter_px == pytest.approx(1.2 * one.diameter_px)
    assert two.depth * two.diameter_px**2 == pytest.approx(one.depth * one.diameter_px**2)


@pytest.mark.parametrize(("fault", "sign"), [(faults.new_mote(0.04), -1), (faults.gone_mote(0.04), 1)])
def test_single_motes_are_in_their_place(fault: Fault, sign: int) -> None:
    mote = single_mote(PLAIN, fault)
    y, x = round(mote.y), round(mote.x)
    change = left(fault) / SKY_ADU
    assert change[y - 3 : y + 4, x - 3 : x + 4].mean() == pytest.approx(sign * 0.04, rel=0.2)
    assert np.median(change) == pytest.approx(0, abs=0.001)


def test_lines_are_as_strong_as_they_say() -> None:
    flat = clean(PLAIN).masters.flat.mean
    assert (left(faults.fixed_rows(0.8)) * flat).mean(axis=1).std() == pytest.approx(0.8, abs=0.05)
    assert (left(faults.fixed_columns(0.8)) * flat).mean(axis=0).std() == pytest.approx(0.8, abs=0.05)
    noisy = simulate(PLAIN, faults.row_noise(3))
    change = noisy.lights[1].astype(np.float32) - clean(PLAIN).lights[1]
    assert change.mean(axis=1).std() == pytest.approx(3, rel=0.15)
    flicker = left(faults.odd_even(0.05))
    assert np.median(flicker[1::2]) - np.median(flicker[::2]) == pytest.approx(0.05 * SKY_ADU, rel=0.3)


def test_few_frames_are_noisy_masters() -> None:
    masters = simulate(PLAIN, faults.few_darks(3)).masters
    assert masters.dark.header["NCOMBINE"] == 3
    truth = clean(PLAIN).frames.dark
    error = (masters.dark.mean - truth.mean_adu) / np.sqrt(truth.variance_adu2 + 1 / 12)
    assert np.std(error) == pytest.approx(3**-0.5, rel=0.03)
    assert simulate(PLAIN, faults.few_flats(4)).masters.flat.header["NCOMBINE"] == 4


def test_a_dark_of_another_gain_has_other_hot_pixels() -> None:
    hot = hot_places(clean(PLAIN))
    masters = simulate(PLAIN, faults.gain_mismatch(2.0)).masters
    current = (clean(PLAIN).masters.dark.mean - PLAIN.bias_adu).reshape(-1)[hot]
    assert np.median((masters.dark.mean.reshape(-1)[hot] - PLAIN.bias_adu) / current) == pytest.approx(0.5, abs=0.02)
    assert masters.dark.header["GAIN"] == 100
    assert simulate(PLAIN, faults.gain_mismatch(2.0, told=True)).masters.dark.header["GAIN"] == 120


def test_an_uneven_flat_tilts_the_sky() -> None:
    first, last = ends(left(faults.uneven_flat(0.02, angle_deg=0)))
    assert first - last == pytest.approx(0.9 * 0.02 * SKY_ADU, rel=0.15)
    bowl = left(faults.uneven_flat(0.02, form="bowl"))
    assert np.median(bowl[:30, :30]) - np.median(bowl[105:135, 145:175]) == pytest.approx(0.018 * SKY_ADU, rel=0.2)


def test_colours_differ_in_shape_and_level() -> None:
    change = left(faults.colour(0.02, angle_deg=0), COLOUR) / stacked(clean(COLOUR))
    red, green, blue = ends(change[::2, ::2]), ends(change[::2, 1::2]), ends(change[1::2, 1::2])
    assert red[0] - red[1] == pytest.approx(0.009, abs=0.002)
    assert blue[0] - blue[1] == pytest.approx(-0.009, abs=0.002)
    assert green[0] - green[1] == pytest.approx(0, abs=0.001)
    level = left(faults.channel_level(0.05), COLOUR) / stacked(clean(COLOUR))
    assert np.median(level[::2, ::2]) == pytest.approx(1 / 1.05 - 1, abs=0.002)
    assert np.median(level[1::2, 1::2]) == pytest.approx(1 / 0.95 - 1, abs=0.002)


@pytest.mark.parametrize(("form", "radius", "most"), [("blur", 1.5, 0.3), ("median", 1, 0.5)])
def test_a_smoothed_flat_lacks_the_pixels_responses(form: str, radius: float, most: float) -> None:
    fine = [flat - (np.roll(flat, 1, 1) + np.roll(flat, -1, 1)) / 2 for flat in _flats(form, radius)]
    assert np.std(fine[0][:, 1:-1]) < most * np.std(fine[1][:, 1:-1])


def _flats(form: str, radius: float) -> tuple[F32, F32]:
    return simulate(PLAIN, faults.smoothed_flat(radius, form=form)).masters.flat.mean, clean(PLAIN).masters.flat.mean


def test_hot_pixels_can_be_missing_or_old() -> None:
    hot = hot_places(clean(PLAIN))
    usual = np.median(clean(PLAIN).masters.dark.mean)
    dark = simulate(PLAIN, faults.cold_dark()).masters.dark.mean.reshape(-1)
    assert dark[hot].max() < usual + 100
    old = simulate(PLAIN, faults.old_dark(0.5)).masters.dark.mean.reshape(-1)
    assert np.mean(old[hot] > usual + 150) == pytest.approx(0.5, abs=0.2)


def test_dew_dries_while_flats_are_shot() -> None:
    simulated = simulate(PLAIN, faults.dew(0.05))
    frames = list(simulated.raw(FrameKind.FLAT, PLAIN.flats))
    first, last = (frames[number].astype(np.float32) for number in (0, -1))
    spots = simulated.frames.dew
    assert spots is not None
    wet = spots > 0.03
    ratio = (first[wet].mean() / first[~wet].mean()) / (last[wet].mean() / last[~wet].mean())
    assert ratio == pytest.approx(1 - spots[wet].mean(), abs=0.01)


def test_bright_flats_are_clipped() -> None:
    frame = next(simulate(PLAIN, faults.saturated_flat(0.1)).raw(FrameKind.FLAT, 1))
    assert np.mean(frame == 65535) == pytest.approx(0.1, abs=0.03)


def test_one_flat_is_brighter() -> None:
    levels = [np.median(frame) for frame in simulate(PLAIN, faults.odd_frame(0.05)).raw(FrameKind.FLAT, 5)]
    assert levels[3] / levels[2] == pytest.approx(1.05, abs=0.01)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("mosaic", [None, "RGGB"])
def test_written_masters_fit_the_lights_and_are_those_in_memory(
    tmp_path: Path, program: str, mosaic: str | None
) -> None:
    night = replace(PLAIN, size=(60, 80), lights=2, program=program, mosaic=mosaic)
    simulated = simulate(night)
    lights, masters = write(simulated, tmp_path)
    (pixels, _), header = read_frame(lights[1]), read_header(lights[1])
    assert np.array_equal(pixels, simulated.lights[1])
    assert simulated.headers[1].items() <= header.items()
    read = [read_master(path) for path in masters]
    kept = simulated.masters
    assert kept.dark_flat is not None
    for one, two in zip(read, (kept.dark, kept.bias, kept.flat, kept.dark_flat), strict=True):
        assert np.array_equal(one.mean, two.mean)
        assert np.array_equal(one.frame_variance, two.frame_variance)
        assert two.header.items() <= one.header.items()
    setups = {path: setup_of(master.header) for path, master in zip(masters, read, strict=True)}
    recipe = recipe_for(setup_of(header), setups, Subtract.DARK, with_flat=True)
    assert (recipe.dark, recipe.flat) == (masters[0], masters[2])
