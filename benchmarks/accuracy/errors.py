"""Where a model of EEG is wrong: the held-out predictions of a run in folds, over its seeds.

python benchmarks/accuracy/run.py eeg --seeds 3
python benchmarks/accuracy/errors.py accuracy/eeg/spectral-mlp
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import confusion_matrix

from sequela.runs.folds import FoldsFolder

WRONG = 0.5
"""A recording with fewer of its segments right than this is wrong as a whole."""


def main() -> None:
    run = FoldsFolder(Path(sys.argv[1]))
    classes = run.data["classes"]
    held_out = [each.predictions.part("held_out") for each in run.runs]
    label = np.concatenate([each.label for each in held_out])
    said = np.concatenate([each.predicted for each in held_out])
    group = np.concatenate([each.group_id for each in held_out])
    counts = confusion_matrix(label, said)
    errors = counts.sum() - np.trace(counts)
    print(f"{np.trace(counts) / counts.sum():.1%} of {counts.sum():,} segments are right")
    for true, name in enumerate(classes):
        print(f"{name}: {counts[true, true] / counts[true].sum():.1%}")
    for one in range(len(classes)):
        for other in range(one):
            share = (counts[one, other] + counts[other, one]) / errors
            print(f"{classes[other]} and {classes[one]} for each other: {share:.0%} of the errors")
    _, of_group = np.unique(group, return_inverse=True)
    wrong = np.bincount(of_group, said != label)
    bad = 1 - wrong / np.bincount(of_group) < WRONG
    print(
        f"{bad.sum()} of {len(bad)} sessions have fewer than {WRONG:.0%} of their segments "
        f"right, and hold {wrong[bad].sum() / errors:.0%} of the errors"
    )


if __name__ == "__main__":
    main()
