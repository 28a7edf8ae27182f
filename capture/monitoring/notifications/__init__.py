"""Notifications to the user's phone, through Apprise.

Start with `wording`, which decides which events deserve a notification and writes it; it is pure. `sending` reads the
addresses and sends in threads that the night never waits for. Nothing here depends on MQTT or the dashboard.
"""
