"""Compare the project with its version at the merge base, according to git (``base``), gate by gate (``gates``)."""
