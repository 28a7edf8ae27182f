"""The night's masters for the verification of lights, some of which two sets share."""

from pathlib import Path

from coldframe.capture.verifying.masters_at_hand import MastersAtHand


def test_a_shared_master_stays_in_use_until_both_sets_are_shot_again(tmp_path: Path) -> None:
    own, shared = tmp_path / "own.fits", tmp_path / "shared.fits"
    masters = MastersAtHand(tmp_path, ["camera"])
    for path, step in ((shared, 4), (own, 5), (shared, 7)):
        masters.add(path, step)

    assert masters.drop(4) == (shared,)
    masters.retire([shared])  # which would read the file, if the master were no longer in use
    assert masters.step_of(shared) == 7
    assert masters.drop(4) == ()
    assert masters.drop(7) == (shared,)
    assert masters.step_of(shared) is None
    assert masters.step_of(own) == 5
