"""The calibration of lights with darks and flats, including defects and uncertainty.

Start with `recipe.py`, which chooses the masters for a light, then read `loading.py`, which reads them, and `files.py`,
which calibrates a light. Its pixels are read (`pixels.py`), calibrated (`bands.py`) and written (`result_file.py`) band
by band. `mending.py` replaces bad pixels, such as those that `hot_pixels.py` finds in a dark. `caveats.py` describes
the errors caused by tolerated differences between lights and masters. This package must not depend on the library's
folders: it takes masters as paths with their setups.
"""
