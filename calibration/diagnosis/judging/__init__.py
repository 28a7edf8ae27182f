"""Judgements of estimates: the limits beyond which an estimate is a finding, its cause, and its remedy.

Each module judges one group of artifacts. The limits follow from nights without faults and from the strengths that must
be found; `benchmarks/diagnosis.py` measures both.
"""
