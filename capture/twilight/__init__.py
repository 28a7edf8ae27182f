"""Shoot twilight flats through all filters in one step, with exposures that follow the brightness of the sky.

Start with `schedule`, which chooses the filter and exposure, and `sky_brightness`, its model of the sky. Both are pure.
`shooting` takes the exposures that the schedule requests, `sky_frames` judges and saves the flats, and `masters`
combines them once their dark flats exist. `session` passes the results of one of these modules to the next. `sun_phase`
limits twilight by the sun's altitude.

This package does not use the panel, and only ensures that it is off. `pipeline` saves frames to disk.
"""
