"""`python -m hydrantic` is the command `hydrantic`."""

import sys

from hydrantic.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
