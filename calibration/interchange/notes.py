"""The README of an export; it lists the settings to change in the program."""

_COMMON = """\
Written by coldframe. Files that need no conversion are hard links to the library where the file system allows it:
do not edit them in place.
"""

NOTES = {
    "siril": """\
Siril: use one of these folders as the working directory.

Folders with masters/ hold finished masters. Put the lights into lights/, and run a script that uses masters, or type:
    cd lights
    convert light -out=../process
    cd ../process
    calibrate light -dark=../masters/dark_stacked -flat=../masters/pp_flat_stacked
For colour cameras, add: -cfa -equalize_cfa -debayer
The scripts that are shipped with Siril stack biases/, darks/ and flats/ themselves and write to masters/: run them in
the folders that end in _raw. They subtract the biases from the flats. To subtract dark flats instead, replace the files
in biases/ with those in darkflats/.
Siril compares neither gain, exposure, temperature nor filter: keep a separate folder for each combination.
""",
    "wbpp": """\
WBPP (PixInsight): add the folder of your camera with "Directory". The masters are XISF, because WBPP refuses masters in
FITS files. Put the lights into a folder with the same GAIN_..., OFFSET_... and TEMP_...; otherwise, WBPP finds no dark
for them. If there are ROTATION_... folders, put the lights of each rotator angle into a folder with the same name;
otherwise, WBPP finds no flat for them.

1. Grouping keywords, all "pre": GAIN, OFFSET and TEMP; READOUTM and ROTATION, too, if they are in the folder names.
2. Darks: set the exposure tolerance to 0. With the default, 10 s, raw darks of different exposures are merged.
3. Calibration settings: turn "Optimize Master Dark" off if the sensor glows, because glow does not grow in proportion
   to the exposure.
4. Add either the masters or the raw/ folders, not both. Keep the word "master" out of the paths of raw frames.
5. WBPP sets "CFA images" if the header contains BAYERPAT. This keyword must be in the headers of both lights and
   flats, or of neither.
""",
    "dss": """\
DeepSkyStacker: DSS does not compare filters, temperatures or offsets. Only group tabs separate files.

1. Main Group: add the darks in main_group/darks_... that have the exposure of the lights. Files in the Main Group are
   used for every group. From the folders that end in _raw, also add the offset/bias files in main_group/biases. Do
   not add these files together with a master dark, which contains the bias: DSS would subtract the bias twice.
2. Use one group tab for each folder group_FILTER or group_FILTER-ANGLE. Add the lights with this filter and rotator
   angle, and the flats and dark flats in the folder.
3. Add either the masters or the folders that end in _raw, not both. Masters are rounded to whole ADU, because DSS
   rejects frames whose colour depth differs from that of the lights.
4. Use one folder of settings (gain, offset, temperature) at a time. Turn dark optimisation off if the sensor glows.
""",
    "app": """\
Astro Pixel Processor: on tab 1, load bias, darks, dark flats and flats from the folders with these names.

1. Tick "Multi-Session" and load each night as a separate session. Tick "Multi-Filter" for more than one filter, and
   choose the filter of flats by their folder.
2. Use one folder of settings (gain, offset, temperature) at a time, and the darks with the lights' exposure.
3. Add either the masters or the folders that end in _raw, not both.
No published description of APP's grouping rules was found, so check the groups in APP's list of files.
""",
    "asiair": """\
ASIAIR: raw frames have the folders (Autorun/Bias, Autorun/Dark, Autorun/Flat) and the names that an ASIAIR uses, so
that programs can read them like the folders of an ASIAIR, and so that you can copy them to its disk. Dark flats are
among the darks, as on the ASIAIR.
masters/ holds coldframe's masters for your stacking program; it is unknown whether an ASIAIR can stack with them.
""",
}
"""Text for each program; see the pages in docs/programs/ for the sources."""


def note(program: str) -> str:
    """Return the README for a program."""
    return f"{NOTES[program]}\n{_COMMON}"
