"""Calibration of lights: dark, flat, defects, uncertainty.

Start with `recipe.py`, which chooses the masters of a light, then `arithmetic.py`, which applies them to planes.
`files.py` reads and writes the lights, and `mending.py` replaces bad pixels. This room must not know the library's
folders: it takes masters as paths with their setups.
"""
