"""Run ``python -m pytest_ftgate``."""

import sys

if __name__ == "__main__":
    from pytest_ftgate.cli.commands import main

    sys.exit(main(sys.argv[1:]))
