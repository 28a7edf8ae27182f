"""The operations that the command line and the Python API share.

Start with `combining`, `calibrating` and `diagnosing`; the package `nights` runs a night. An operation receives its
options as a `Request`, passes each message to a `Reports`, and returns its result. The commands print the messages, and
the API collects them; the results are the same. No operation prints, reads from the terminal or returns an exit code.
"""
