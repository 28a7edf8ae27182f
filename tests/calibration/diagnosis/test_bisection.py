"""The bisection of simulated nights: the right masters win against masters with one fault, on the same lights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.diagnosis.bisecting import LightBisection, subtracted_again
from coldframe.calibration.diagnosis.bisection import (
    CAP,
    TIE,
    Comparison,
    Component,
    Part,
    Scored,
    Use,
    Witness,
    bisect,
    compared,
    sentences,
)
from coldframe.calibration.diagnosis.combinations import candidates_of, dark_ways, flat_ways, other_flat_ways
from coldframe.calibration.diagnosis.files import light_source
from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.masters.master_frame import MasterFrame, write_master
from coldframe.config.frames import FrameKind
from tests.calibration.diagnosis import calibration_frames, faults, nights
from tests.calibration.diagnosis.faults import Fault
from tests.calibration.diagnosis.nights import Night, Simulated

NIGHT = Night(5, lights=8, size=(400, 560), nebula_fill=0.0, sky_adu=600.0, stars=250, glow_adu=80.0)


@dataclass(frozen=True)
class Files:
    """The files of a night."""

    folder: Path
    lights: list[Path]
    simulated: Simulated


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Files:
    simulated = nights.simulate(NIGHT)
    folder = tmp_path_factory.mktemp("night")
    lights, _ = nights.write(simulated, folder)
    return Files(folder, lights, simulated)


def right(simulated: Simulated, kind: FrameKind) -> MasterFrame:
    return next(each for each in simulated.masters.frames if each.kind is kind)


def spoiled(kind: FrameKind, fault: Fault) -> MasterFrame:
    return right(nights.simulate(NIGHT, fault), kind)


def lower(master: MasterFrame, adu: float) -> MasterFrame:
    """Return a master whose frames had a lower offset."""
    return replace(master, stack=replace(master.stack, mean=master.stack.mean - np.float32(adu)))


def flat_of_shifted_dust(px: float) -> MasterFrame:
    """Return the flat of the night with all shadows elsewhere."""
    with pytest.MonkeyPatch.context() as patched:
        moved = faults.dust_shift_px(px)
        patched.setattr(
            calibration_frames, "optics_of_flats", lambda night, _: calibration_frames.optics_of_lights(night, moved)
        )
        return spoiled(FrameKind.FLAT, faults.none())


def bisected(night: Files, folder: Path, masters: Sequence[MasterFrame]) -> Comparison:
    """Bisect with masters; of each kind, the last one is the newest and has the number 1."""
    found = []
    for number, master in enumerate(masters):
        path = folder / f"{number}.fits"
        write_master(path, master)
        header = read_header(path)
        found.append((path, setup_of(header), header))
    lights = [light_source(path) for path in night.lights]
    result = LightBisection(lights, lights[0].setup, candidates_of(found)).run()
    assert [light.path for light in result.read] == night.lights
    assert set(result.comparison.witnesses) == set(Witness)
    return result.comparison


def accused(comparison: Comparison) -> Iterator[tuple[Component, str]]:
    for culprit in comparison.culprits():
        yield culprit.component, culprit.component.of(culprit.worse).key


# ---- simulated nights ----


@pytest.mark.parametrize(
    ("fault", "witness"),
    [
        (faults.dark_temperature_c(1.0), Witness.HOT),
        (faults.dark_exposure(0.8), Witness.HOT),
        (faults.few_darks(3), Witness.MASTERS),
        (faults.offset_adu(20), Witness.RESPONSE),
        (faults.dark_leak_adu(60), Witness.RESPONSE),
        (faults.cold_dark(), Witness.HOT),
    ],
    ids=str,
)
def test_the_right_dark_wins(night: Files, tmp_path: Path, fault: Fault, witness: Witness) -> None:
    dark = right(night.simulated, FrameKind.DARK)
    bad = lower(dark, 20) if fault.name == "offset" else spoiled(FrameKind.DARK, fault)
    comparison = bisected(night, tmp_path, [bad, dark, right(night.simulated, FrameKind.FLAT)])
    assert (comparison.best.dark.key, comparison.best.flat.key) == ("D1", "F1")
    assert (Component.DARK, "D2") in accused(comparison)
    assert witness in next(comparison.culprits()).witnesses
    assert comparison.left_by(comparison.best) == ()
    (text,) = sentences(comparison)
    assert text.startswith("The dark introduces ")
    assert f"with {comparison.best.dark.name.replace('D1', 'D2')}, the score is" in text


def test_a_scaled_dark_leaves_glow(night: Files, tmp_path: Path) -> None:
    masters = [right(night.simulated, kind) for kind in (FrameKind.DARK, FrameKind.FLAT, FrameKind.BIAS)]
    comparison = bisected(night, tmp_path, [spoiled(FrameKind.DARK, faults.dark_scaled(3.0)), *masters])
    assert comparison.best.dark.key == "D1"
    scaled = next(each for each in comparison.culprits() if each.worse.dark.use is Use.CHANGED)
    assert scaled.worse.dark.key == "D2 scaled by 0.33 with B1"
    assert scaled.witnesses[0] is Witness.GLOW
    assert "B1 alone" in {row.dark.key for row in comparison.rows}


def test_the_flat_with_the_right_shadows_wins(night: Files, tmp_path: Path) -> None:
    masters = [right(night.simulated, kind) for kind in (FrameKind.FLAT, FrameKind.DARK)]
    comparison = bisected(night, tmp_path, [flat_of_shifted_dust(8), *masters])
    assert comparison.best.flat.key == "F1"
    (culprit,) = comparison.culprits()
    assert (culprit.worse.flat.key, culprit.witnesses) == ("F2", (Witness.DUST,))
    without = next(row for row in comparison.rows if row.flat.use is Use.LEFT_OUT)
    assert {Witness.DUST, Witness.RESPONSE} <= set(comparison.left_by(without))
    assert comparison.score(without) > comparison.score(culprit.worse)


def test_dark_flats_repair_a_flat_with_a_pedestal(night: Files, tmp_path: Path) -> None:
    spoiled_night = nights.simulate(NIGHT, faults.flat_pedestal(0.04))
    kinds = (FrameKind.BIAS, FrameKind.DARK_FLAT)
    flat, bias, dark_flat = (right(spoiled_night, kind) for kind in (FrameKind.FLAT, *kinds))
    named = replace(flat, subtracted="1.fits")
    comparison = bisected(night, tmp_path, [named, bias, dark_flat, right(night.simulated, FrameKind.DARK)])
    assert comparison.best.flat.key == "F1 with K1 instead of B1"
    assert (Component.FLAT, "F1") in accused(comparison)


def test_equal_masters_are_a_tie(night: Files, tmp_path: Path) -> None:
    again = nights.simulate(replace(NIGHT, darks=35, flats=36))
    masters = [right(each, kind) for each in (night.simulated, again) for kind in (FrameKind.DARK, FrameKind.FLAT)]
    comparison = bisected(night, tmp_path, masters)
    assert len(comparison.ties()) == 3
    assert list(comparison.culprits()) == []
    (text,) = sentences(comparison)
    assert text.startswith("It is a tie")


# ---- the comparison ----

D1, D2 = Part("D1", "the new dark"), Part("D2", "the old dark")
F1, F2 = Part("F1", "the new flat"), Part("F2", "the old flat")
CHANGED = Part("F1 with K1", "the new flat with K1", Use.CHANGED)
NO_DARK = Part("B1 alone", "the bias alone", Use.LEFT_OUT)


def scored(dark: Part, flat: Part, **terms: float) -> Scored:
    return Scored(dark, flat, {Witness[name.upper()]: term for name, term in terms.items()})


def test_a_witness_counts_if_all_combinations_have_it() -> None:
    comparison = compared([scored(D1, F1, hot=3, dust=30), scored(D2, F1, hot=9)])
    assert comparison.witnesses == (Witness.HOT,)
    assert comparison.best.dark is D1
    assert comparison.left_by(comparison.best) == ()


def test_a_score_is_limited_by_witness() -> None:
    comparison = compared([scored(D1, F1, hot=1e6, dust=1)])
    assert comparison.score(comparison.best) == CAP + 1


def test_of_equally_good_combinations_the_plainest_is_preferred() -> None:
    rows = [
        scored(NO_DARK, F1, hot=0),
        scored(D1, CHANGED, hot=1),
        scored(D1, F1, hot=TIE - 0.1),
        scored(D2, F1, hot=TIE),
    ]
    comparison = compared(rows)
    assert (comparison.best.dark, comparison.best.flat) == (D1, F1)
    assert [row.dark for row in comparison.ties()] == [D2]


def test_further_flats_are_tried_with_the_best_dark_and_the_best_of_them_with_all_darks() -> None:
    tried: list[tuple[str, str]] = []

    def measure(dark: Part, flat: Part) -> dict[Witness, float]:
        tried.append((dark.key, flat.key))
        return {Witness.HOT: 100.0 * (dark is D1), Witness.RESPONSE: 50.0 * (flat is not CHANGED)}

    comparison = bisect([D1, D2], [F1], [CHANGED], measure)
    assert tried == [("D1", "F1"), ("D2", "F1"), ("D2", "F1 with K1"), ("D1", "F1 with K1")]
    assert (comparison.best.dark, comparison.best.flat) == (D2, CHANGED)
    assert {(each.component, each.component.of(each.worse).key) for each in comparison.culprits()} == {
        (Component.DARK, "D1"),
        (Component.FLAT, "F1"),
    }


def test_sentences_name_the_artifact_the_scores_and_what_remains() -> None:
    rows = [
        scored(D1, F1, hot=9, dust=3, rows=90),
        scored(D1, F2, hot=9, dust=301, rows=90),
        scored(D2, F1, hot=80, dust=3, rows=90),
    ]
    assert list(sentences(compared(rows))) == [
        "The dark introduces hot pixels: with the old dark, the score is 173; with the new dark, it is 102.",
        "The flat introduces dust donuts: with the old flat, the score is 400; with the new flat, it is 102.",
        "Even the best combination, D1 and F1, leaves row banding: a different master is needed.",
    ]
    assert list(sentences(compared([scored(D1, F1, hot=2)]))) == [
        "No master introduces an artifact: D1 and F1 have a score of 2."
    ]


def test_nothing_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="no combinations"):
        compared([])


# ---- the combinations ----


def test_without_masters_nothing_is_subtracted_or_divided(night: Files) -> None:
    nothing = candidates_of([])
    setup = light_source(night.lights[0]).setup
    assert [way.part.key for way in dark_ways(setup, nothing)] == ["no dark"]
    assert [way.part.key for way in flat_ways(nothing)] == ["no flat"]
    assert other_flat_ways(nothing) == []


def test_lights_without_darks_or_flats_are_compared_by_what_remains(night: Files, tmp_path: Path) -> None:
    path = tmp_path / "bias.fits"
    write_master(path, right(night.simulated, FrameKind.BIAS))
    header = read_header(path)
    lights = [light_source(each) for each in night.lights[:2]]
    comparison = (
        LightBisection(lights, lights[0].setup, candidates_of([(path, setup_of(header), header)])).run().comparison
    )
    assert {Witness.HOT, Witness.GLOW, Witness.DUST, Witness.RESPONSE}.isdisjoint(comparison.witnesses)
    assert Witness.ROWS in comparison.witnesses


def test_a_flat_with_another_dark_is_that_of_its_frames() -> None:
    simulated = nights.simulate(replace(NIGHT, size=(60, 80), lights=1))
    masters = simulated.masters
    assert masters.dark_flat is not None
    again = subtracted_again(masters.flat, masters.dark_flat, masters.bias)
    back = subtracted_again(again, masters.bias, masters.dark_flat)
    assert again.mean.mean() == pytest.approx(1, abs=1e-5)
    assert back.mean == pytest.approx(masters.flat.mean, abs=2e-5)
    change = (masters.dark_flat.mean - masters.bias.mean) / NIGHT.flat_adu
    expected = masters.flat.mean + change
    assert again.mean == pytest.approx(expected / expected.mean(), abs=2e-4)
