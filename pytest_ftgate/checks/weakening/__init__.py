"""Compare a gate of the gate file with its version at the merge base, according to git.

``history`` asks git, ``past`` reads the gate file and the ini keys of that time, ``comparison`` compares two gates key
by key, ``examples`` compares their test sets, and ``review`` makes checks of the findings.
"""
