"""Tumour area against healthy area: one second of one electrode, and with more context.

A linear model on spectral features is trained on folds by session, and AUROC is that of the test
folds. Nothing is chosen. Other electrodes are there only for who records several channels at once;
in the Bonn data these are the other recordings of the session, at the same second.

    python benchmarks/accuracy/context.py --deals 10
"""

import argparse

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sequela
from sequela.models.signal_features import Envelopes, Quantiles, Reflections

PAIR = ("tumour area", "healthy area")
FOLDS = 5
SECONDS = 4
"""Length of the middle context."""
PENALTY = 0.01
"""Inverse strength of the ridge penalty, as features outnumber sessions."""

Array = np.ndarray


def features(segments: Array) -> Array:
    """Features (segments, features) of segments (segments, 1, samples) in µV."""
    signal = torch.as_tensor(segments, dtype=torch.float32)
    centred = signal - signal.mean(-1, keepdim=True)
    layers = Reflections(8), Envelopes(segments.shape[-1], 8), Quantiles(7)
    with torch.no_grad():
        return np.concatenate([layer(centred)[:, 0].numpy() for layer in layers], 1)


def of_others(own: Array, sessions: Array) -> Array:
    """Mean features of the session's other electrodes; its own for one that has none."""
    others = own.copy()
    for session in np.unique(sessions):
        members = np.flatnonzero(sessions == session)
        if len(members) > 1:
            others[members] = (own[members].sum(0) - own[members]) / (len(members) - 1)
    return others


def with_context(own: Array, sessions: Array) -> dict[str, Array]:
    """Inputs of (recordings, seconds, features), with each kind of context."""
    seconds = own.shape[1]
    block = np.minimum(np.arange(seconds) // SECONDS, seconds // SECONDS - 1)
    blocks = np.stack([own[:, block == number].mean(1) for number in range(block[-1] + 1)], 1)
    whole = np.concatenate([own.mean(1), own.std(1)], 1)[:, None]
    contexts = {"one second": own, f"{SECONDS} seconds": blocks, "the whole recording": whole}
    several = {
        f"{context}, with the session's other electrodes": np.concatenate(
            [inputs, of_others(inputs, sessions)], 2
        )
        for context, inputs in contexts.items()
    }
    return contexts | several


def area(inputs: Array, label: Array, sessions: Array, deal: int) -> float:
    """Mean AUROC over the test folds of one deal of sessions."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=2_000))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=deal)
    per_row = inputs.shape[1]
    areas = []
    for training, test in folds.split(label, label, sessions):
        model.fit(np.concatenate(inputs[training]), np.repeat(label[training], per_row))
        risk = model.predict_proba(np.concatenate(inputs[test]))[:, 1]
        areas.append(roc_auc_score(np.repeat(label[test], per_row), risk))
    return float(np.mean(areas))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deals", type=int, default=10)
    deals = parser.parse_args().deals
    data = sequela.load("bonn")
    of_pair = np.isin(data.y, PAIR)
    _, first, seconds = np.unique(data.recordings[of_pair], return_index=True, return_counts=True)
    own = features(data.X[of_pair][:, None]).reshape(len(first), seconds[0], -1)
    label = (data.y[of_pair][first] == PAIR[0]).astype(int)
    sessions = data.groups[of_pair][first]
    shared = np.bincount(np.unique(sessions, return_inverse=True)[1])
    print(f"{len(first)} recordings of {len(shared)} sessions, {(shared > 1).sum()} with several")
    for context, inputs in with_context(own, sessions).items():
        areas = [area(inputs, label, sessions, deal) for deal in range(deals)]
        low, high = min(areas), max(areas)
        print(f"{context}: AUROC {np.mean(areas):.3f} ({low:.3f} to {high:.3f} over {deals} deals)")


if __name__ == "__main__":
    main()
