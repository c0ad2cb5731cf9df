"""Compare the project with its version at the merge base, according to git.

``git`` reads files as they were, ``gates`` compares two versions of a gate key by key, ``examples`` their test
sets, and ``base`` the whole project: ini keys, gate file, gates.
"""
