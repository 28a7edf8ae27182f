"""Faults of devices, for tests of whole nights.

Start with `striking`: each kind of fault is a class in front of a simulated device that strikes some of its calls.
`camera_faults`, `cooler_faults` and `light_faults` have the kinds, with their rows of the fault matrix in
docs/faults.md; `faulty_rig` builds a rig with some of them.

A fault changes what a driver reports or does; it never reaches into coldframe's own code.
"""
