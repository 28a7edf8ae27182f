"""Defect maps: finding bad pixels in masters, and reading and writing the maps.

Start with `finding.find_defects`; docs/defects.md explains its definitions. `files` writes the FITS map and Siril's list,
and reads maps of other programs. Replacing defective pixels in a light is the task of `calibration.lights.mending`.
"""
