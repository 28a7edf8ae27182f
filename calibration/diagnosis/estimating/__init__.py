"""Estimators of individual artifacts in calibrated lights, each with its standard error.

Start with `measuring.py`, which reduces a light to bins, sums of blocks, lines and hot pixels. `pedestals`,
`thermometer`, `lines`, `smooth_maps` and `star_ratios` estimate from these. `registration` and `sensor_pattern`
distinguish the sensor's pattern from the sky, and `motes` and `dust` compare its shadows with those of the flat.
"""
