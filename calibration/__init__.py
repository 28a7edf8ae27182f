"""Calibration frames as numbers: raw frames into masters, and masters into calibrated lights.

`stacking` and `masters` make masters of a night's frames; `combining` makes them of files on disk. `lights` applies
masters, `library` keeps them, and `camera` and `defects` describe the sensor. `frames` knows how frames were shot;
`files`, `measuring` and `kernels` read, measure and compute. Start with `stacking/accumulator.py`. A contract in
pyproject.toml orders the rooms. None of them may know a device, an event loop, or a running night.
"""
