"""The real data sets, where this machine has them."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder $SEQUELA_DATA; a test that needs it skips without, unless that is forbidden."""
    named = os.environ.get("SEQUELA_DATA")
    if named and Path(named).is_dir():
        return Path(named)
    found = f"SEQUELA_DATA is {named}, which is no folder" if named else "SEQUELA_DATA is not set"
    if named or os.environ.get("SEQUELA_REQUIRE_REAL_DATA") == "1":
        pytest.fail(f"{found}: it must name the folder with the real data sets")
    pytest.skip(f"{found}: real data sets are not tested")
