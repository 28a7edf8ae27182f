"""Master frames: the recipe of flats, the files of masters, and which dark flats need.

Start with `flat_recipe.py` for flats, `master_frame.py` for names, headers and writing, `reading.py` for reading.
`flat_scaling.py` has the arithmetic of the recipe, `dark_ladder.py` the darks of twilight flats, and `flat_pedestal.py`
the choice between bias and dark flats. This room must not know where frames come from: a camera or files.
"""
