"""The environment variables that coldframe reads.

This module imports nothing, so that the command line starts quickly.
"""

CONFIG_VARIABLE = "COLDFRAME_CONFIG"
"""Names the configuration, for users with several rigs."""
