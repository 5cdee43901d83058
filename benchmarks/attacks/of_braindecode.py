"""Write windows of braindecode with the splits of its documentation, for ``sequela audit``.

PYTHON of_braindecode.py FOLDER: for an environment with braindecode. The signals are synthetic,
since the data sets of its examples are downloaded: 8 subjects with 2 runs each, in windows of 2
seconds that overlap by half. Writes an npz file for each split: windows, label, subject, part.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

SFREQ, SECONDS = 64, 60


def windows() -> Any:
    """Cut recordings as braindecode's example of own data does."""
    datasets, preprocessing = (
        import_module(f"braindecode.{name}") for name in ("datasets", "preprocessing")
    )
    mne, rng, found = import_module("mne"), np.random.default_rng(0), []
    for subject in range(8):
        for run in range(2):
            signal = np.cumsum(rng.standard_normal((3, SFREQ * SECONDS)), axis=1) * 1e-6
            info = mne.create_info(3, SFREQ, "eeg")
            raw = mne.io.RawArray(signal - signal.mean(1, keepdims=True), info, verbose="error")
            facts = {"subject": subject, "run": run, "target": subject % 2}
            found.append(datasets.RawDataset(raw, facts, target_name="target"))
    return preprocessing.create_fixed_length_windows(
        datasets.BaseConcatDataset(found),
        window_size_samples=2 * SFREQ,
        window_stride_samples=SFREQ,
        drop_last_window=True,
    )


def main() -> None:
    """Write the arrays."""
    out, data = Path(sys.argv[1]), windows()
    each = [data[i] for i in range(len(data))]
    x, y = np.stack([one[0] for one in each]), np.array([one[1] for one in each])
    facts = data.get_metadata()
    parts = {}
    for by in ("subject", "run"):
        names = facts[by].to_numpy()
        parts[f"split({by!r})"] = np.where(names == names.max(), "test", "train")
    # The classifier's default, as in its first example: a fifth of the windows is for validation.
    classifier = import_module("braindecode").EEGClassifier
    default = classifier(import_module("braindecode.models").ShallowFBCSPNet).train_split
    train, valid = default(import_module("skorch.dataset").Dataset(x, y), y)
    part = np.full(len(x), "train", "<U10")
    part[valid.indices] = "validation"
    parts["EEGClassifier, its own train_split"] = part
    for name, part in parts.items():
        np.savez(out / f"{name}.npz", X=x, y=y, subject=facts["subject"], split=part)
        print(name, x.shape, len(train.indices))


if __name__ == "__main__":
    main()
