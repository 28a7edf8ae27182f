"""The calibration of lights with darks and flats, including defects and uncertainty.

Start with `recipe.py`, which chooses the masters for a light, then read `loading.py`, which reads them, and
`arithmetic.py`, which applies them to planes. `files.py` reads and writes the lights. Their `pixels` are read and
calibrated band by band (`words.py`), and enter the digest in `content.py` at the same time. `mending.py` replaces bad
pixels, such as the `hot_pixels` of a dark. `caveats.py` states the errors that tolerated differences cause. This
package must not depend on the library's folders: it takes masters as paths with their setups.
"""
