"""Calibration frames as numbers: from raw frames to masters, from masters to calibrated lights.

Pure numerics on arrays and files: nothing here knows a device, an event loop or a running night. Each room imports only
the rooms below it in this list; a contract in pyproject.toml enforces that.

- `library`: masters of all nights, and their export.
- `lights`: calibration of lights.
- `combining`: raw files of any program into masters. `defects`: maps of bad pixels. `camera`: gain, noise, dark current.
- `masters`: the recipe of flats, master files.
- `frames`: how a frame was shot, which frames match, overscan.
- `stacking`: pixels of many frames into one; start with `stacking/accumulator.py`.
- `files`: FITS, durable writing. `measuring`: statistics of one frame.
- `kernels`: compiled loops. `threads`: the threads that share them.
"""
