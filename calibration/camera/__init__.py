"""Measurements of the camera: gain, read noise, full well, linearity and dark current.

Start with `photon_transfer`, which measures frames tile by tile and fits the photon transfer curve. `study` derives
figures from the frames of a night, `record` stores the figures of all nights, and `from_folder` recreates a record from
saved frames. This package must not depend on devices or on the course of a night.
"""
