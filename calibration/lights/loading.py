"""The masters of a recipe, read from their files and combined into the planes that calibrate lights."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.lights.arithmetic import (
    Correction,
    Subtraction,
    correction,
    dark_subtraction,
    scaled_subtraction,
    with_bias,
)
from coldframe.calibration.lights.caveats import flat_caveats
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.calibration.masters.reading import BandedMaster, check, open_adu_master, open_master, read_adu_master
from coldframe.calibration.memory import return_memory_of_bands
from coldframe.config.frames import FrameKind

MasterLook = Callable[[FrameKind, BandedMaster], None]
"""Function that receives each master of a recipe before its planes are freed; a dark includes its bias."""

RowsOf = Callable[[tuple[int, ...]], NDArray[np.intp]]
"""Function that takes the height and width of a light and returns rows in ascending order."""

DarkSearch = Callable[[BandedMaster, BandedMaster | None], None]
"""Function that receives the dark and the bias of a recipe as they were read."""


def load_correction(
    recipe: LightRecipe,
    *,
    despite_glow: bool = False,
    look: MasterLook | None = None,
    search: DarkSearch | None = None,
    rows: RowsOf | None = None,
) -> Correction:
    """Read the masters of a recipe and combine them; a flat is read in a second thread, which also calls `look`.

    Parameters
    ----------
    recipe
        The recipe of the lights.
    despite_glow
        True to scale a dark even if its glow might not grow in proportion to the exposure; see `scaled_subtraction`.
    look
        Function to call with each master.
    search
        Function to call before `look` with the dark, if there is one; it must not change the planes.
    rows
        Function that returns the rows for which variances are needed; None for all rows.

    Raises
    ------
    FrameFileError
        If a master cannot be read.
    GlowError
        If the glow of the dark might not grow in proportion to the exposure.
    MismatchError
        If the masters do not match each other.
    """
    load = partial(load_subtraction, recipe, despite_glow=despite_glow, look=look, search=search, rows=rows)
    if recipe.flat is None:
        subtraction = load()
        return replace(correction(subtraction, None), caveats=subtraction.caveats)
    if recipe.dark is not None and recipe.bias is not None:  # many planes: they are freed before the flat is read
        subtraction, flat = load(), _load_flat(recipe.flat, look)
    else:
        with ThreadPoolExecutor(1, "flat") as thread:
            loading = thread.submit(_load_flat, recipe.flat, look)
            subtraction = load()
            flat = loading.result()
    return_memory_of_bands()
    caveats = *subtraction.caveats, *flat_caveats(flat, subtraction.level_adu)
    return replace(correction(subtraction, flat), caveats=caveats)


def _load_flat(path: Path, look: MasterLook | None) -> BandedMaster:
    flat = open_master(path)
    check(flat, path)
    if look is not None:
        look(FrameKind.FLAT, flat)
    return flat


def load_subtraction(
    recipe: LightRecipe,
    *,
    despite_glow: bool = False,
    look: MasterLook | None = None,
    search: DarkSearch | None = None,
    rows: RowsOf | None = None,
) -> Subtraction:
    """Read and combine the dark and the bias of a recipe; see `load_correction`."""
    dark, bias = (None if path is None else open_adu_master(path) for path in (recipe.dark, recipe.bias))
    if search is not None and dark is not None:
        search(dark, bias)
    if dark is not None and bias is not None:  # reading all planes includes the same checks
        dark, bias = dark.planes(), bias.planes()
        dark = with_bias(dark, bias)
    for path, master in ((recipe.dark, dark), (recipe.bias, bias)):
        if path is not None and master is not None:
            check(master, path)
    for kind, master in ((FrameKind.DARK, dark), (FrameKind.BIAS, bias)):
        if look is not None and master is not None:
            look(kind, master)
    if dark is not None and bias is not None and recipe.dark_scale != 1:
        witness = None if recipe.glow_witness is None else read_adu_master(recipe.glow_witness)
        scaled = scaled_subtraction(bias.planes(), dark.planes(), recipe.dark_scale, witness, despite_glow=despite_glow)
        return scaled if rows is None else scaled.with_variance_of(rows(scaled.subtracted.shape))
    only = dark or bias
    assert only is not None
    return dark_subtraction(only, None if rows is None else rows(only.mean.shape))
