"""The files of a night: its folder, its raw frames and its journal.

Start with `night_folder`, which knows where everything goes and how it gets there durably; `saved_frames` finds what
an earlier run has left. `journal` appends events to a file, `journal_reader` reads them back, and `old_journals` adds
the fields that journals of earlier versions lack. This room knows nothing of steps, devices or the order of a night.
"""
