"""Estimators of individual artifacts in calibrated lights; each estimate has a standard error.

Start with `measuring.py`, which reduces a light to bins, block sums, line means and the excess of hot pixels. From
these measurements, `pedestals`, `thermometer`, `lines`, `smooth_maps` and `star_ratios` derive estimates.
`registration` and `sensor_pattern` separate the sensor's pattern from the sky, and `motes` and `dust` compare dust
shadows in this pattern with those in the flat.
"""
