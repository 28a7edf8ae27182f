"""Watch and steer a run from another process on the same machine.

Start with `server`, which sends the events of a run over a local socket, and `local`, which receives them for a
watcher. `messages` defines their protocol, with one JSON object per line. `history` keeps the events that a new watcher
needs. `address` names the socket and checks the user at its other end. `source` defines the interface that `local` and
`telemetry.remote` implement. `watched_night` keeps the night that a watcher shows. None of these
modules draws anything.
"""
