"""Master frames: the recipe for flats, the files of masters, and the choice of the dark that flats need.

Start with `flat_recipe.py` for flats, `master_frame.py` for names, headers and writing, and `reading.py` for reading;
its `StoredMaster` reads only the rows and planes that are needed. `integrity.py` checks that files are intact.
`flat_scaling.py` contains the arithmetic of the recipe, `dark_ladder.py` interpolates darks for twilight flats, and
`flat_pedestal.py` chooses between bias and dark flats. This package must not depend on whether frames come from a
camera or from files.
"""
