"""The simulated rig as an INDI server, and as a driver under indiserver.

Start with `rig`, which contains the devices. `device` is their base class, and `properties` contains the INDI
properties and their XML. `serve` accepts clients and routes messages as indiserver does, and `requests` parses the
clients' requests. `driver` is the entry point of `indi_coldframe_rig`.

The protocol is implemented here without any INDI library (docs/decisions/0002).
"""
