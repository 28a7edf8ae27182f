"""Store the files of a night: its folder, its raw frames and its journal.

Start with `night_folder`, which names each file and writes it durably. `saved_frames` finds the frames of an earlier
run. `journal` appends events to a file, `journal_reader` reads them back, and `old_journals` adds the fields that are
missing from journals written by earlier versions. This package controls neither the devices nor the course of a night.
"""
