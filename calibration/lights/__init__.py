"""The calibration of lights with darks and flats, including defects and uncertainty.

Start with `recipe.py`, which chooses the masters for a light, then read `arithmetic.py`, which applies them to planes.
`files.py` reads and writes the lights, and `mending.py` replaces bad pixels. This package must not depend on the
library's folders: it takes masters as paths with their setups.
"""
