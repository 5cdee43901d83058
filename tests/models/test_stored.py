"""The file of a model: the same bytes from numpy and torch, and types that numpy lacks."""

from pathlib import Path

import numpy as np
import torch

from sequela.models import stored


def test_numpy_and_torch_give_the_same_bytes(tmp_path: Path) -> None:
    arrays = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3).T,  # not contiguous
        "a": np.array(3),
        "c": np.zeros((0, 2)),
    }
    stored.write(tmp_path / "numpy", arrays, {"of": "both"})
    tensors = {name: torch.tensor(np.array(each)) for name, each in arrays.items()}
    stored.write(tmp_path / "torch", tensors, {"of": "both"})
    stored.write(tmp_path / "mixed", {**arrays, "b": tensors["b"]}, {"of": "both"})
    written = (tmp_path / "numpy").read_bytes()
    assert (tmp_path / "torch").read_bytes() == written
    assert (tmp_path / "mixed").read_bytes() == written
    header, found = stored.read(tmp_path / "numpy")
    assert header == {"of": "both"}
    for name, each in arrays.items():
        np.testing.assert_array_equal(found[name], each, strict=True)
        assert found[name].flags.writeable  # torch takes it without a copy


def test_bfloat16_is_read_as_tensors(tmp_path: Path) -> None:
    half = torch.tensor([1.5, 2.5], dtype=torch.bfloat16)
    stored.write(tmp_path / "half", {"weight": half}, {})
    assert torch.equal(stored.read(tmp_path / "half")[1]["weight"], half)
