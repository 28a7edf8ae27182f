"""Faults of devices, for tests of whole nights.

Start with `striking`. Each kind of fault is a class that wraps a simulated device and affects some of its calls.
`camera_faults`, `cooler_faults` and `light_faults` contain these classes, each with the numbers of its rows in the
fault matrix (docs/faults.md). `faulty_rig` builds a rig with some of these faults.

A fault changes the reports or actions of a driver. It never changes coldframe's own code.
"""
