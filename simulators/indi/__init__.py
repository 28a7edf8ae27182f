"""The simulated rig as an INDI server, and as a driver under indiserver.

Start with `rig`, which has the devices; `device` is their base class, `properties` the INDI properties and their XML.
`serve` accepts clients and routes messages as indiserver does, `requests` parses what clients send, `driver` is the
entry point of `indi_coldframe_rig`.

The protocol is implemented here without any INDI library (docs/decisions/0002).
"""
