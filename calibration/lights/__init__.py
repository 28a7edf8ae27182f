"""The calibration of lights with darks and flats, including defects and uncertainty.

Start with `recipe.py`, which chooses the masters for a light, then read `loading.py`, which reads them, and
`arithmetic.py`, which applies them to planes. `files.py` reads and writes the lights. Their pixels are read
(`pixels.py`) and calibrated (`words.py`) band by band, and are added to the digest in `content.py` at the same time.
`mending.py` replaces bad pixels, such as those that `hot_pixels.py` finds in a dark. `caveats.py` describes the errors
caused by tolerated differences between lights and masters. This package must not depend on the library's folders: it
takes masters as paths with their setups.
"""
