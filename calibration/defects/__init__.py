"""Defect maps: finding bad pixels in masters, and reading and writing the maps.

Start with `finding`: `dark_defects`, `bias_defects` and `flat_defects` examine one master each, and `merged` combines
them (docs/defects.md has the definitions). `files` writes the FITS map and Siril's list, and reads maps of other
programs. Replacing defective pixels in a light is the task of `calibration.lights.mending`.
"""
