"""Faults that a master shows alone, or compared with its frames, its bias, and the previous master of its setting.

Start with `looking.look_at_master`, which returns the findings. `structure` examines the pixels of a flat, `lines` its
rows, `series` its frames in the order in which they were shot, `flats` and `darks` the levels, and `changes` the
differences from an earlier master. Masters that are in order yield findings as well, which state figures and do not
matter.
"""
