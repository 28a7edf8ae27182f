"""Flats of the twilight sky: all filters in one step, with exposures that follow the brightness of the sky.

Start with `schedule`, which chooses filter and exposure, and `sky_brightness`, its model of the sky: both are pure.
`shooting` shoots what the schedule requests, `sky_frames` judges and saves the flats, and `masters` combines them when
their dark flats exist. `session` passes results from one of these steps to the next. `sun_phase` limits twilight by
the sun's altitude.

This room uses no panel light and only makes sure that it is off. `pipeline` brings frames to the disk.
"""
