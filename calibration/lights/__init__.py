"""The calibration of lights with darks and flats, including defects and uncertainty.

Start with `recipe.py`, which chooses the masters for a light, then read `arithmetic.py`, which applies them to planes.
`loading.py` reads the masters. `files.py` reads and writes the lights, whose `pixels` pass band by band, and `mending.py` replaces bad pixels, such as the `hot_pixels` of a dark.
`caveats.py` states the errors that tolerated differences cause. This package must not depend on the library's folders:
it takes masters as paths with their setups.
"""
