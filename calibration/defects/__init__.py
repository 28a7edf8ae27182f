"""Defect maps: the search for bad pixels in masters, and the map files.

Start with `finding`: `dark_defects`, `bias_defects` and `flat_defects` examine one master each, and `merged` combines
them (docs/defects.md contains the definitions). `files` writes the FITS map and Siril's list, and reads maps from other
programs. This package does not replace defective pixels in a light; `calibration.lights.mending` does.
"""
