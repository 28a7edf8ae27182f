"""Simulated rigs, for trying coldframe without hardware and for testing whole nights.

Start with `optics`, the telescope that joins `sensor`, `cooler`, `panel`, `wheel` and `sky` under one clock. `devices`
implements coldframe's device protocols for the telescope within this process and under virtual time. The room `indi`
serves it to any INDI client, `mqtt_light` is a panel on an MQTT broker, and the room `faults` makes devices fail.

The hardware models use no event loop. Only the command line and the tests import this layer; `coldframe.capture` must
not be able to distinguish a simulated rig from a real one.
"""
