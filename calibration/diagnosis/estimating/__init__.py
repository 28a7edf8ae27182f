"""Estimators of individual artifacts in calibrated lights, each with its standard error.

Start with `measuring.py`, which reduces a light to bins, sums of blocks, lines and hot pixels. From these, `pedestals`,
`thermometer`, `lines`, `smooth_maps` and `star_ratios` derive estimates. `registration` and `sensor_pattern` separate
the sensor's pattern from the sky, and `motes` and `dust` compare dust shadows in this pattern with those in the flat.
"""
