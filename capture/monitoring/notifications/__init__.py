"""Notifications to the user's phone, through Apprise.

Start with the pure module `wording`, which decides which events warrant a notification and writes the text. `sending`
reads the addresses and sends notifications in separate threads that cannot delay the frames. Neither module depends
on MQTT or the dashboard.
"""
