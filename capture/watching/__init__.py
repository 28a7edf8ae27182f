"""Watching a night from elsewhere: what a run hands out, and how a watcher gets at it."""
