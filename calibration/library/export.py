"""Export of the library's masters into the folders that other programs expect."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError, link_durably, write_durably
from coldframe.calibration.files.naming import name_part, settings_text
from coldframe.calibration.frames.matching import best_master
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.config.frames import FrameKind

_SIRIL_NAMES = {
    FrameKind.BIAS: "bias_stacked.fit",
    FrameKind.DARK: "dark_stacked.fit",
    FrameKind.FLAT: "pp_flat_stacked.fit",
}

_WBPP_NOTE = """\
Masters for PixInsight's WBPP, one folder for each combination of camera, gain, offset, temperature and binning.

Add one of these folders at a time: WBPP 1.4 ignores gain and temperature, and would mix masters that differ in them.
Set EXPTIME, BINNING and FILTER as grouping keywords ("pre"). Set the dark exposure tolerance to 0 s (the default of
10 s merges darks), and switch off "Optimize" for darks unless the sensor shows no glow.
"""


def export_siril(masters: Mapping[Path, FrameSetup], target: Path) -> list[Path]:
    """Arrange masters in the folders, and under the names, that Siril's scripts use.

    The export creates a folder, to use as Siril's working folder, for each combination of settings, dark exposure and
    filter. Its subfolder `masters/` contains `dark_stacked.fit`, `pp_flat_stacked.fit` and `bias_stacked.fit`, each
    only if there is a master for it. Bias-subtracted darks are skipped, because Siril and WBPP would not add the bias
    back.

    Parameters
    ----------
    masters
        Setups of the masters to export, by path.
    target
        The folder to export to, which is created if it does not exist. Existing files are not changed.

    Returns
    -------
    list of Path
        The new files: hard links, or copies if `target` is on a different disk.

    Raises
    ------
    NotDurableError
        If a file could not be created.
    """
    made = []
    for folder, recipe in _sessions(masters):
        chosen = {FrameKind.BIAS: recipe.bias, FrameKind.DARK: recipe.dark, FrameKind.FLAT: recipe.flat}
        for kind, path in chosen.items():
            if path is not None:
                made += _linked(path, target / folder / "masters" / _SIRIL_NAMES[kind])
    return made


def export_wbpp(masters: Mapping[Path, FrameSetup], target: Path) -> list[Path]:
    """Arrange masters in folders for WBPP, with its grouping keywords in the paths; see `export_siril`."""
    made = []
    for path, master in masters.items():
        if master.kind in (FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT) and not master.bias_subtracted:
            made += _linked(path, target / _setting(master) / _wbpp_folder(master) / path.name)
    note = target / "README.txt"
    if made and not note.exists():
        write_durably(note, [_WBPP_NOTE.encode()])
    return made


def _sessions(masters: Mapping[Path, FrameSetup]) -> Iterator[tuple[str, LightRecipe]]:
    """Yield a folder name and a recipe for each dark, with each flat that matches the dark."""
    darks = [master for master in masters.values() if master.kind is FrameKind.DARK and not master.bias_subtracted]
    flats = [master for master in masters.values() if master.kind is FrameKind.FLAT]
    lights = [_light(dark, flat) for dark in darks for flat in flats] or [_light(dark, dark) for dark in darks]
    seen = set()
    for light in lights:
        matches = [best_master(light, masters, kind).path for kind in _SIRIL_NAMES]
        recipe = LightRecipe(bias=matches[0], dark=matches[1], flat=matches[2])
        if recipe.dark is None or (flats and recipe.flat is None) or recipe in seen:
            continue
        seen.add(recipe)
        exposure = settings_text(
            FrameKind.DARK_FLAT, light.readout, light.exposure_s or 0, _degrees(light), light.filter_name
        )
        yield f"{name_part(light.camera or 'camera')}_{exposure}", recipe


def _light(dark: FrameSetup, flat: FrameSetup) -> FrameSetup:
    """Return the setup of a light that the given dark and flat would calibrate."""
    return replace(
        dark,
        kind=FrameKind.LIGHT,
        filter_name=flat.filter_name,
        mosaic=flat.mosaic,
        train=flat.train,
        taken_at=flat.taken_at,
    )


def _setting(master: FrameSetup) -> str:
    text = settings_text(FrameKind.BIAS, master.readout, 0, _degrees(master), None)
    return f"{name_part(master.camera or 'camera')}_{text}"


def _degrees(master: FrameSetup) -> float | None:
    """Return the temperature rounded to whole degrees, so that masters of one setpoint share a folder."""
    return None if master.temperature_c is None else float(round(master.temperature_c))


def _wbpp_folder(master: FrameSetup) -> str:
    binning = f"BINNING_{master.readout.binning}"
    match master.kind:
        case FrameKind.DARK:
            return f"dark/{binning}/EXPTIME_{master.exposure_s or 0:g}"
        case FrameKind.FLAT:
            return f"flat/{binning}/FILTER_{name_part(master.filter_name or 'NoFilter')}"
    return f"bias/{binning}"


def _linked(source: Path, path: Path) -> list[Path]:
    """Link a file and return a list with its new path, or an empty list if the name already exists."""
    if path.exists():
        return []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotDurableError.of(path, error) from error
    link_durably(source, path)
    return [path]
