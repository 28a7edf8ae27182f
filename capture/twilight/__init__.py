"""Flats of the twilight sky: all filters in one step, with exposures that follow the brightness of the sky.

Start with `schedule`, which chooses filter and exposure, and `sky_brightness`, its model of the sky: both are pure.
`shooting` shoots what the schedule orders, `sky_frames` judges and saves the flats, and `masters` combines them when
their dark flats exist. `session` passes results from one of these steps to the next. `sun_phase` limits twilight by
the altitude of the sun.

This room knows no panel light, except that it is off. The way of a frame to the disk is in `pipeline`.
"""
