"""Simulated rigs, for trying coldframe without hardware and for testing whole nights.

Start with `optics`, the telescope that joins `sensor`, `cooler`, `panel`, `wheel` and `sky` under one clock. `devices`
puts coldframe's device protocols in front of it, within this process and under virtual time; the room `indi` serves it
to any INDI client; `mqtt_light` is its panel on an MQTT broker. The room `faults` makes its devices fail.

The hardware models know no event loop. Only the command line and the tests import this layer; `coldframe.capture` must
not be able to distinguish a simulated rig from a real one.
"""
