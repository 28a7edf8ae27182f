"""The files of a night: its folder, its raw frames and its journal.

Start with `night_folder`: where each file goes, and how it is written durably. `saved_frames` finds the frames of an
earlier run. `journal` appends events to a file, `journal_reader` reads them back, and `old_journals` adds the fields
that the journals of earlier versions lack. This room knows nothing of devices or of the course of a night.
"""
