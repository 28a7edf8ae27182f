"""Faults of a master, found in the master alone or by comparison with its frames, its bias, or an earlier master.

Start with `looking.look_at_master`, which returns the findings. `structure` examines the pixels of a flat, `lines` its
rows and columns, `series` its frames in the order in which they were shot, `flats` and `darks` the levels, and
`changes` the differences from an earlier master. Flawless masters yield findings as well: these state measured figures,
and do not matter.
"""
