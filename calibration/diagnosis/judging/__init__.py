"""Judge estimates: the limits beyond which an estimate is a finding, and the cause and remedy of each finding.

Each module judges one group of artifacts. The limits are chosen so that nights without faults yield no findings, and
faults that matter are found; `benchmarks/diagnosis.py` measures both.
"""
