"""Measurements of the camera: gain, read noise, full well, linearity and dark current.

Start with `photon_transfer`, which measures frames tile by tile and fits the photon transfer curve. `study` turns the
frames of a night into figures, `record` keeps them from night to night, and `from_folder` recreates a record from
saved frames. This room knows files and frames, but neither devices nor the course of a night.
"""
