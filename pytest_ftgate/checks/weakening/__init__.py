"""Compare a gate with its version at the merge base, according to git.

``history`` asks git, ``past`` reads the gate file and the ini keys of that time, ``comparison`` compares two gates key
by key, ``contents`` and ``code`` compare what they read, and ``review`` makes checks of the findings. The markers of
that time are read by ``plugin/earlier.py``.
"""
