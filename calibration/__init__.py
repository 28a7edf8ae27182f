"""Computations with calibration frames: combining raw frames into masters, and calibrating lights with masters.

`stacking` and `masters` make masters from the frames of a night; `combining` makes them from files on disk. `lights`
applies masters, `library` stores them, and `camera` and `defects` describe the sensor. `frames` describes how frames
were shot; `files` reads and writes them, `measuring` measures them, and `kernels` contains the compiled loops. Start
with `stacking/accumulator.py`. A contract in pyproject.toml defines which packages may import which others. No package
may depend on a device, an event loop, or a running night.
"""
