"""``python -m fuzz``: see ``run.py``."""

import sys

from fuzz.run import main

sys.exit(main())
