"""What ``sequela build`` writes is read by MEDS-transforms and MEDS-torch-data.

They need another polars than we do, so they run where ``SEQUELA_READERS`` names an interpreter that
has them.
"""

import json
import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sequela.datasets.catalog import EXCERPTS
from sequela.tables.build import build
from sequela.tables.hospitals import source_of

READ = """
import json, sys
from meds_torchdata import MEDSPytorchDataset, MEDSTorchDataConfig
config = MEDSTorchDataConfig(tensorized_cohort_dir=sys.argv[1], max_seq_len=64)
found = {}
for split in ("train", "tuning", "held_out"):
    subjects = MEDSPytorchDataset(config, split=split)
    batch = subjects.collate([subjects[index] for index in range(min(4, len(subjects)))])
    found[split] = [len(subjects), int((batch.code > 0).sum())]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The environment of the interpreter that has meds-torch-data."""
    readers = os.environ.get("SEQUELA_READERS")
    if not readers:
        pytest.skip("SEQUELA_READERS names no interpreter that has meds-torch-data")
    path = f"{Path(readers).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": ""}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The excerpt of MIMIC-III as MEDS."""
    out = tmp_path_factory.mktemp("readers") / "events"
    build(source_of("mimic3"), EXCERPTS / "mimic3", out)
    return out


@pytest.fixture(scope="module")
def tensors(environment: dict[str, str], built: Path) -> Path:
    """What the pipeline of meds-torch-data makes of it, in half a dozen processes."""
    out = built.with_name("tensors")
    program = Path(environment["SEQUELA_READERS"]).parent / "MEDS_transform-pipeline"
    command = [str(program), "pkg://meds_torchdata.preprocessing.configs._MTD_preprocess.yaml"]
    places = {**environment, "INPUT_DIR": str(built), "OUTPUT_DIR": str(out)}
    done = subprocess.run(command, env=places, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_meds_transforms_and_torch_data_load_what_was_built(
    environment: dict[str, str], tensors: Path, built: Path
) -> None:
    read = subprocess.run(
        [environment["SEQUELA_READERS"], "-c", READ, str(tensors)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout.splitlines()[-1])
    splits = pq.read_table(built / "metadata" / "subject_splits.parquet")["split"].to_pylist()
    assert {name: n for name, (n, _) in found.items()} == {
        name: splits.count(name) for name in ("train", "tuning", "held_out")
    }
    assert all(codes > 0 for _, codes in found.values())
