from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.frames.matching import (
    best_master,
    best_scalable_dark,
    defect_map_faults,
    subtraction_faults,
    superseded,
)
from coldframe.calibration.frames.overscan import Overscan, Section, Sections
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import FrameSetup, OpticalTrain
from coldframe.calibration.lights.recipe import NoMasterError, Subtract, recipe_for
from coldframe.config.frames import FrameKind, ReadoutSettings

NIGHT = datetime(2026, 11, 22, 4, tzinfo=UTC)
LIGHT = FrameSetup(
    kind=FrameKind.LIGHT,
    camera="ASI2600MM",
    width=6248,
    height=4176,
    readout=ReadoutSettings(gain=100, offset=50, readout_mode="Low noise"),
    exposure_s=300.0,
    temperature_c=-10.0,
    cooled=True,
    filter_name="Ha",
    mosaic=None,
    row_order="TOP-DOWN",
    train=OpticalTrain("Refractor", 500, 5000, 359.5),
    taken_at=NIGHT,
)
BIAS = replace(LIGHT, kind=FrameKind.BIAS, exposure_s=0.001, filter_name=None)
DARK = replace(LIGHT, kind=FrameKind.DARK, filter_name=None)
FLAT = replace(LIGHT, kind=FrameKind.FLAT, exposure_s=1.2)
WARM = replace(LIGHT, cooled=False, temperature_c=17.0)


def fit(light: FrameSetup, master: FrameSetup) -> str:
    """Return why a master is refused, the caveats if it is chosen, or an empty text."""
    assert master.kind is not None
    match = best_master(light, {Path("Master.fits"): master}, master.kind)
    if match.path is None:
        return match.refusal.partition("): ")[2]
    return "; ".join(match.caveats)


@pytest.mark.parametrize("master", [BIAS, DARK, FLAT])
def test_a_master_shot_like_the_light_fits(master: FrameSetup) -> None:
    assert fit(LIGHT, master) == ""


def test_the_refusal_names_the_nearest_master_and_its_differences() -> None:
    masters = {
        Path("far.fits"): replace(DARK, exposure_s=60, temperature_c=-20.0),
        Path("MasterDark_X.fits"): replace(DARK, exposure_s=180),
        Path("farther.fits"): replace(DARK, exposure_s=60),
    }
    match = best_master(LIGHT, masters, FrameKind.DARK)
    assert match.path is None
    assert match.refusal == "no dark fits: the nearest is MasterDark_X.fits (-10 C, 180 s): exposure differs by 120 s"


def test_an_undated_master_is_used_but_reported() -> None:
    undated = "the master is undated, so it may be older than 180 days"
    assert fit(LIGHT, replace(DARK, taken_at=None)) == undated
    assert fit(replace(LIGHT, taken_at=None), replace(DARK, taken_at=None)) == undated
    dated = {Path("undated"): replace(DARK, taken_at=None), Path("zz"): replace(DARK, taken_at=NIGHT)}
    assert best_master(LIGHT, dated, FrameKind.DARK).path == Path("zz")


def test_an_unknown_temperature_of_a_dark_is_reported_with_what_it_may_cost() -> None:
    assert fit(LIGHT, replace(DARK, temperature_c=None)) == (
        "the header of the master has no temperature, which is assumed to be equal, but dark current doubles about "
        "every 6 C"
    )


def test_an_empty_library_gives_a_refusal() -> None:
    assert best_master(LIGHT, {}, FrameKind.FLAT).refusal == "no flat fits: there is no master flat"


def test_all_differences_are_reported() -> None:
    assert fit(LIGHT, replace(DARK, exposure_s=60, temperature_c=0.0)) == (
        "temperature differs by 10 C, exposure differs by 240 s"
    )


READOUT_FAULTS = {
    "camera is QHY268M instead of ASI2600MM": {"camera": "QHY268M"},
    "size is 3124 x 2088 instead of 6248 x 4176": {"width": 3124, "height": 2088},
    "gain is 0 instead of 100": {"readout": replace(LIGHT.readout, gain=0)},
    "binning is 2 instead of 1": {"readout": replace(LIGHT.readout, binning=2)},
    "readout mode is Fast instead of Low noise": {"readout": replace(LIGHT.readout, readout_mode="Fast")},
    "row order is BOTTOM-UP instead of TOP-DOWN": {"row_order": "BOTTOM-UP"},
}


@pytest.mark.parametrize("master", [BIAS, DARK, FLAT])
@pytest.mark.parametrize("reason", READOUT_FAULTS)
def test_every_master_must_share_the_readout_settings(master: FrameSetup, reason: str) -> None:
    assert fit(LIGHT, replace(master, **READOUT_FAULTS[reason])) == reason  # type: ignore[arg-type]


def test_the_offset_matters_only_to_masters_that_are_subtracted() -> None:
    other = replace(LIGHT.readout, offset=10)
    assert fit(LIGHT, replace(BIAS, readout=other)) == "offset is 10 instead of 50"
    assert fit(LIGHT, replace(DARK, readout=other)) == "offset is 10 instead of 50"
    assert fit(LIGHT, replace(FLAT, readout=other)) == ""


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        (OpticalTrain("Newtonian", 500, 5000, 359.5), "telescope is Newtonian instead of Refractor"),
        (OpticalTrain("Refractor", 400, 5000, 359.5), "focal length differs by 100 mm"),
        (OpticalTrain("Refractor", 502, 5099, 0.4), ""),
        (OpticalTrain("Refractor", 500, 5101, 359.5), "focuser position differs by 101 steps"),
        (OpticalTrain("Refractor", 500, 5000, 1.0), "rotator angle differs by 1.5 deg"),
        (OpticalTrain("Refractor", 500, 5000, 179.5), "rotator angle differs by 180 deg"),
    ],
)
def test_a_flat_is_valid_until_the_train_changes(train: OpticalTrain, reason: str) -> None:
    assert fit(LIGHT, replace(FLAT, train=train)) == reason
    assert fit(LIGHT, replace(DARK, train=train)) == ""


def test_a_flat_must_share_filter_and_mosaic() -> None:
    assert fit(LIGHT, replace(FLAT, filter_name="OIII")) == "filter is OIII instead of Ha"
    assert fit(LIGHT, replace(FLAT, filter_name=None)) == "filter is none instead of Ha"
    assert fit(LIGHT, replace(FLAT, filter_name="HA")) == ""
    colour = replace(LIGHT, mosaic="RGGB")
    assert fit(colour, replace(FLAT, mosaic="RGGB+1+0")) == "colour filter array is RGGB+1+0 instead of RGGB"


@pytest.mark.parametrize(
    ("master", "days", "fits"), [(BIAS, 179, True), (BIAS, 181, False), (DARK, 181, False), (FLAT, 29, True)]
)
@pytest.mark.parametrize("direction", [1, -1])
def test_masters_grow_stale(master: FrameSetup, days: int, fits: bool, direction: int) -> None:  # noqa: FBT001
    stale = replace(master, taken_at=NIGHT + direction * timedelta(days=days))
    assert (fit(LIGHT, stale) == "") is fits


def test_a_stale_master_is_reported() -> None:
    assert fit(LIGHT, replace(FLAT, taken_at=NIGHT - timedelta(days=45))) == (
        "the frames were taken 45 days apart (limit: 30 days)"
    )


@pytest.mark.parametrize(("master_c", "fits"), [(-10.9, True), (-11.1, False), (-9.1, True), (-8.9, False)])
def test_cooled_darks_must_match_the_temperature(master_c: float, fits: bool) -> None:  # noqa: FBT001
    assert (fit(LIGHT, replace(DARK, temperature_c=master_c)) == "") is fits


def test_without_a_cooler_the_nearest_temperature_is_chosen() -> None:
    masters = {Path(f"{c}.fits"): replace(DARK, cooled=False, temperature_c=float(c)) for c in (5, 12, 16, 21, 30)}
    assert best_master(WARM, masters, FrameKind.DARK).path == Path("16.fits")
    match = best_master(replace(WARM, temperature_c=40.0), masters, FrameKind.DARK)
    assert "30.fits (30 C, 300 s): temperature differs by 10 C" in match.refusal


def test_among_equals_the_nearest_in_time_is_chosen() -> None:
    masters = {Path(f"{days}"): replace(DARK, taken_at=NIGHT - timedelta(days=days)) for days in (90, 3, 30)}
    assert best_master(LIGHT, masters, FrameKind.DARK).path == Path("3")


def test_unknown_values_are_caveats_and_rank_below_known_ones() -> None:
    foreign = replace(LIGHT, readout=replace(LIGHT.readout, offset=None))
    assert fit(foreign, DARK) == "the header of the light has no offset, which is assumed to be equal"
    silent = replace(FLAT, train=OpticalTrain())
    assert fit(LIGHT, silent).count("the header of the master has no") == 4
    masters = {Path("silent"): silent, Path("known"): replace(FLAT, taken_at=NIGHT - timedelta(days=9))}
    assert best_master(LIGHT, masters, FrameKind.FLAT).path == Path("known")
    assert fit(replace(LIGHT, exposure_s=None), DARK) == "an exposure is unknown"
    assert "date" in fit(replace(LIGHT, taken_at=None), DARK)


def test_a_dark_flat_is_not_a_dark() -> None:
    match = best_master(LIGHT, {Path("x"): replace(DARK, kind=FrameKind.DARK_FLAT)}, FrameKind.DARK)
    assert match.refusal == "no dark fits: there is no master dark"


def test_darks_are_scaled_within_limits() -> None:
    assert best_scalable_dark(LIGHT, {Path("x"): replace(DARK, exposure_s=150)}).path == Path("x")
    refusal = best_scalable_dark(LIGHT, {Path("x"): replace(DARK, exposure_s=60)}).refusal
    assert refusal.endswith("it would be scaled up by a factor of 5")
    assert best_scalable_dark(LIGHT, {Path("x"): replace(DARK, exposure_s=0.0)}).path is None


temperatures = st.floats(-40, 40)
exposures = st.floats(0.001, 3600)


@given(temperatures, temperatures, exposures, exposures)
def test_chosen_masters_are_within_the_tolerances(light_c: float, dark_c: float, light_s: float, dark_s: float) -> None:
    light = replace(LIGHT, temperature_c=light_c, exposure_s=light_s)
    dark = replace(DARK, temperature_c=dark_c, exposure_s=dark_s)
    within = abs(light_c - dark_c) <= Tolerances().cooled_c and abs(light_s - dark_s) <= max(0.01 * light_s, 0.05)
    assert (fit(light, dark) == "") is within


# ---- recipes ----

MASTERS = {Path("bias"): BIAS, Path("dark"): DARK, Path("half"): replace(DARK, exposure_s=150), Path("flat"): FLAT}


def test_recipes_choose_the_masters_to_subtract() -> None:
    usual = recipe_for(LIGHT, MASTERS, Subtract.DARK, with_flat=True)
    assert (usual.dark, usual.bias, usual.flat, usual.calstat) == (Path("dark"), None, Path("flat"), "BDF")
    assert recipe_for(LIGHT, MASTERS, Subtract.SCALED_DARK, with_flat=True) == usual
    bare = recipe_for(LIGHT, MASTERS, Subtract.BIAS, with_flat=False)
    assert (bare.dark, bare.bias, bare.flat, bare.calstat) == (None, Path("bias"), None, "B")
    longer = replace(LIGHT, exposure_s=270)
    scaled = recipe_for(
        longer, {key: MASTERS[key] for key in (Path("bias"), Path("half"))}, Subtract.SCALED_DARK, with_flat=False
    )
    assert (scaled.dark, scaled.bias, scaled.dark_scale) == (Path("half"), Path("bias"), 1.8)


def test_every_missing_master_is_reported() -> None:
    with pytest.raises(NoMasterError, match=r"no dark fits.*; no flat fits"):
        recipe_for(LIGHT, {}, Subtract.DARK, with_flat=True)
    with pytest.raises(NoMasterError, match=r"no dark fits.*; no bias fits"):
        recipe_for(LIGHT, {}, Subtract.SCALED_DARK, with_flat=False)


# ---- overscan, and darks without their bias ----

SECTIONS = Sections(Section(0, 4176, 6200, 6248), Section(0, 4176, 0, 6200))
SMOOTH, ROW = Overscan(SECTIONS, "smooth"), Overscan(SECTIONS, "row")
STRIPPED = replace(LIGHT, sections=SECTIONS)


def corrected(overscan: Overscan) -> dict[Path, FrameSetup]:
    return {Path(f"{path}-{overscan.method}"): master.without(overscan) for path, master in MASTERS.items()}


def test_the_overscan_of_a_light_is_treated_as_that_of_its_masters() -> None:
    whole = {path: replace(master, sections=SECTIONS) for path, master in MASTERS.items()}
    assert recipe_for(STRIPPED, whole, Subtract.DARK, with_flat=True).overscan is None
    for overscan in (SMOOTH, ROW):
        recipe = recipe_for(STRIPPED, corrected(overscan), Subtract.DARK, with_flat=True)
        assert (recipe.overscan, recipe.dark) == (overscan, Path(f"dark-{overscan.method}"))
    both = recipe_for(STRIPPED, whole | corrected(ROW) | corrected(SMOOTH), Subtract.DARK, with_flat=True)
    assert both.overscan == SMOOTH


def test_a_flat_may_use_another_overscan_method() -> None:
    masters = {Path("dark"): DARK.without(SMOOTH), Path("flat"): FLAT.without(ROW)}
    assert recipe_for(STRIPPED, masters, Subtract.DARK, with_flat=True).flat == Path("flat")


@pytest.mark.parametrize("light", [LIGHT, replace(LIGHT, sections=Sections(SECTIONS.strip, Section(0, 10, 0, 6200)))])
def test_masters_without_overscan_do_not_fit_a_light_with_none_or_another(light: FrameSetup) -> None:
    with pytest.raises(NoMasterError, match="overscan subtraction is smooth"):
        recipe_for(light, corrected(SMOOTH), Subtract.DARK, with_flat=False)


def test_a_mixture_of_overscan_treatments_is_refused() -> None:
    masters = {Path("dark"): DARK.without(SMOOTH), Path("flat"): FLAT, Path("bias"): BIAS.without(ROW)}
    with pytest.raises(NoMasterError, match=r"no flat fits.*overscan subtraction is none instead of smooth"):
        recipe_for(STRIPPED, masters, Subtract.DARK, with_flat=True)


def test_a_dark_without_its_bias_needs_a_master_bias() -> None:
    less = replace(DARK, bias_subtracted=True)
    with pytest.raises(NoMasterError, match="no bias fits"):
        recipe_for(LIGHT, {Path("less"): less}, Subtract.DARK, with_flat=False)
    recipe = recipe_for(LIGHT, {Path("less"): less, Path("bias"): BIAS}, Subtract.DARK, with_flat=False)
    assert (recipe.dark, recipe.bias, recipe.dark_scale) == (Path("less"), Path("bias"), 1)
    assert recipe.caveats == ("dark: its bias was subtracted, so the master bias is added back",)
    with_plain = {Path("less"): less, Path("bias"): BIAS, Path("dark"): DARK}
    plain = recipe_for(LIGHT, with_plain, Subtract.DARK, with_flat=False)
    assert (plain.dark, plain.bias, plain.caveats) == (Path("dark"), None, ())
    # Neither dark supersedes the other.
    assert superseded({Path("plain"): older(DARK, 9), Path("less"): less}) == ()


def test_a_scaled_dark_comes_with_a_dark_of_another_exposure() -> None:
    light = replace(LIGHT, exposure_s=200)
    one = {Path("bias"): BIAS, Path("dark"): DARK}
    assert recipe_for(light, one, Subtract.SCALED_DARK, with_flat=False).glow_witness is None
    close = one | {Path("close"): replace(DARK, exposure_s=290)}
    assert recipe_for(light, close, Subtract.SCALED_DARK, with_flat=False).glow_witness is None
    recipe = recipe_for(
        light, one | {Path("half"): replace(DARK, exposure_s=140)}, Subtract.SCALED_DARK, with_flat=False
    )
    assert {recipe.dark, recipe.glow_witness} == {Path("dark"), Path("half")}


@pytest.mark.parametrize(
    ("master", "said"),
    [
        (replace(BIAS, readout=replace(BIAS.readout, gain=0)), "gain is 0 instead of 100"),
        (replace(BIAS, readout=replace(BIAS.readout, offset=10)), "offset is 10 instead of 50"),
        (replace(BIAS, readout=replace(BIAS.readout, binning=2)), "binning is 2 instead of 1"),
        (replace(BIAS, camera="other"), "camera is other"),
        (replace(BIAS, width=100), "size is 100 x 4176"),
        (replace(BIAS, temperature_c=15.0), "temperature differs by 25 C"),
        (replace(DARK, exposure_s=1.5), "exposure differs by 0.3 s"),
        (FLAT, "it is a master flat"),
        (replace(DARK, exposure_s=1.2, bias_subtracted=True), "its bias was already subtracted"),
        (BIAS.without(SMOOTH), "overscan subtraction is smooth"),
    ],
)
def test_masters_that_cannot_be_subtracted_from_flats_are_refused_with_the_reason(
    master: FrameSetup, said: str
) -> None:
    assert any(said in fault for fault in subtraction_faults(FLAT, master))


@pytest.mark.parametrize(
    "master",
    [
        BIAS,
        replace(DARK, exposure_s=1.2),
        replace(DARK, exposure_s=1.3),
        replace(DARK, exposure_s=None),
        replace(BIAS, camera=None, readout=ReadoutSettings(), temperature_c=None, kind=None),
    ],
)
def test_masters_with_equal_or_unknown_values_can_be_subtracted(master: FrameSetup) -> None:
    assert subtraction_faults(FLAT, master) == ()


# ---- superseded masters ----


def older(master: FrameSetup, days: float) -> FrameSetup:
    return replace(master, taken_at=NIGHT - timedelta(days=days))


def test_newer_masters_of_the_same_settings_supersede_older_ones() -> None:
    masters = {
        Path("dark"): DARK,
        Path("old dark"): older(DARK, 100),
        Path("other dark"): older(replace(DARK, exposure_s=60), 100),
        Path("flat"): FLAT,
        Path("last week's flat"): older(FLAT, 7),
        Path("old flat"): older(FLAT, 60),
        Path("turned flat"): older(replace(FLAT, train=OpticalTrain("Refractor", 500, 5000, 90)), 60),
        Path("dark flat"): replace(DARK, kind=FrameKind.DARK_FLAT, filter_name="Ha"),
        Path("old dark flat"): older(replace(DARK, kind=FrameKind.DARK_FLAT, filter_name="Ha"), 9),
        Path("dark flat of another filter"): older(replace(DARK, kind=FrameKind.DARK_FLAT, filter_name="L"), 9),
        Path("undated"): replace(DARK, taken_at=None),
    }
    assert {path.name for path in superseded(masters)} == {"old dark", "old flat", "old dark flat"}


def test_darks_of_other_temperatures_are_kept() -> None:
    warm = replace(WARM, kind=FrameKind.DARK, filter_name=None)
    masters = {Path(f"{c}"): older(replace(warm, temperature_c=c), days=c) for c in (15.0, 16.0, 16.3, 17.0)}
    assert superseded(masters) == (Path("16.3"),)


def test_a_defect_map_of_darks_without_filter_array_fits_lights_with_one() -> None:
    colour = replace(LIGHT, mosaic="RGGB")
    assert defect_map_faults(colour, DARK) == ()
    assert defect_map_faults(colour, replace(DARK, mosaic="GRBG")) == ("colour filter array is GRBG instead of RGGB",)


def test_a_dark_cannot_be_scaled_to_a_light_without_exposure() -> None:
    masters = {Path("dark.fits"): DARK, Path("bias.fits"): BIAS}
    recipe = recipe_for(replace(LIGHT, exposure_s=0.0), masters, Subtract.SCALED_DARK, with_flat=False)
    assert (recipe.dark, recipe.dark_scale) == (Path("dark.fits"), 0)


def test_the_dark_of_another_exposure_may_be_much_shorter_than_the_light() -> None:
    masters = {Path(f"{s}.fits"): replace(DARK, exposure_s=float(s)) for s in (60, 300)} | {Path("bias.fits"): BIAS}
    recipe = recipe_for(replace(LIGHT, exposure_s=200.0), masters, Subtract.SCALED_DARK, with_flat=False)
    assert (recipe.dark, recipe.glow_witness) == (Path("300.fits"), Path("60.fits"))


def test_a_flat_of_one_of_several_angles_is_a_guess_for_a_light_without_an_angle() -> None:
    flats = {
        Path(f"MasterFlat_{angle_deg}.fits"): replace(FLAT, train=replace(FLAT.train, rotation_deg=angle_deg))
        for angle_deg in (0.0, 0.5, 90.0)
    }
    light = replace(LIGHT, train=replace(LIGHT.train, rotation_deg=None))
    match = best_master(light, flats, FrameKind.FLAT)
    assert match.path == Path("MasterFlat_0.0.fits")
    assert match.guess in match.caveats
    assert match.guess == (
        "MasterFlat_0.0.fits at 0 deg was chosen from flats at the rotator angles 0, 90 deg, but the light does not "
        "state its angle; a flat at a different angle leaves dust shadows and vignetting. To choose the flat yourself, "
        "specify a folder that contains only this flat with --library"
    )
    flats.pop(Path("MasterFlat_90.0.fits"))
    assert best_master(light, flats, FrameKind.FLAT).guess == ""
    assert best_master(replace(light, train=LIGHT.train), flats, FrameKind.FLAT).guess == ""
    darks = {Path(f"{deg}.fits"): replace(DARK, train=replace(DARK.train, rotation_deg=deg)) for deg in (0.0, 90.0)}
    assert best_master(light, darks, FrameKind.DARK).guess == ""
