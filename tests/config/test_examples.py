import pytest

from coldframe.config.examples import example_night, example_nights
from coldframe.config.loading import ConfigError, load_settings
from coldframe.config.simulated_rig import load_rig, shipped_rigs


def test_every_rig_has_an_example_night() -> None:
    assert set(shipped_rigs()) <= set(example_nights())


@pytest.mark.parametrize("name", shipped_rigs())
def test_a_night_matches_the_devices_of_its_rig(name: str) -> None:
    rig, night = load_rig(name), load_settings(example_night(name))

    filters = {each.filter for each in night.sets} - {None}
    assert filters <= ({each.name for each in rig.wheel.filters} if rig.wheel else set())
    assert (night.wheel is None) == (rig.wheel is None)
    assert (night.camera.setpoint_c is None) == (rig.cooler is None)
    if rig.dslr is not None:
        assert night.camera.gain in rig.dslr.iso
    for wanted, control in ((night.camera.gain, rig.sensor.gain), (night.camera.offset, rig.sensor.offset)):
        assert (wanted is None) == (control is None)
        assert control is None or rig.dslr is not None or (wanted is not None and wanted <= control.maximum)


@pytest.mark.parametrize("name", example_nights())
def test_the_example_nights_load(name: str) -> None:
    night = load_settings(example_night(name))

    assert (night.camera.setpoint_c is None) == (name in {"dslr", "uncooled"})
    assert {each.kind for each in night.sets} >= {"bias", "dark", "flat"}
    assert ("dark-flat" in {each.kind for each in night.sets}) == (name != "ccd-overscan")


def test_an_unknown_night_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="allowed: ccd-overscan, cooled-mono, cooled-osc, dslr, rotator, small, uncooled"
    ):
        example_night("../small")
