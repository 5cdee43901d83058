"""One epoch of a 128-unit GRU on visits: Sequela's batches beside a plain padded torch loop.

Both train the same model (sum of 128 embeddings a visit, GRU-128, two logits) with Adam on batches
of 64, on one thread, in one run: on synthetic patients of MIMIC-III's number, visits and codes, one
visit for most. The plain loop is what a tutorial shows: lists of lists, padded to the longest of a
shuffled batch in visits and in codes, the last real state picked by length.

    python benchmarks/visit_epoch.py [--epochs 2]
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sequela.models.visits import MultiHotLinear
from sequela.sequences.flat import Sequences, SequencesWriter, open_sequences
from sequela.sequences.visit_batches import VisitDataset, visit_loader

PATIENTS, VISITS, CODES, N_CODES = 46_520, 58_976, 651_047, 6_985
UNITS, BATCH = 128, 64


def synthetic(folder: Path) -> Sequences:
    """Random patients: 7,537 have more than one visit, codes follow a Zipf law."""
    rng = np.random.default_rng(0)
    n_visits = np.ones(PATIENTS, np.int64)
    several = rng.choice(PATIENTS, 7_537, replace=False)
    n_visits[several] += 1
    weight = 1 / np.arange(1, len(several) + 1) ** 0.6
    n_visits[several] += rng.multinomial(VISITS - n_visits.sum(), weight / weight.sum())
    share = rng.gamma(3.0, 1.0, VISITS)
    visit = np.repeat(np.arange(VISITS), rng.multinomial(CODES, share / share.sum()))
    zipf = 1 / np.arange(1, N_CODES) ** 1.05
    code = 1 + rng.choice(N_CODES - 1, CODES, p=zipf / zipf.sum())
    key = np.unique(visit * N_CODES + code)  # sorted, distinct in a visit
    header = {"digest": "", "parts": ["train"], "vocabulary": [""] * N_CODES, "channels": []}
    with SequencesWriter(folder, header) as writer:
        writer.append(
            examples={
                "subject_id": np.arange(PATIENTS),
                "prediction_time": np.zeros(PATIENTS, "M8[us]"),
                "label": rng.random(PATIENTS) < 0.1,
                "part": np.zeros(PATIENTS),
                "age": np.zeros(PATIENTS),
            },
            steps_per_example=n_visits,
            step_time=np.zeros(VISITS, "M8[us]"),
            codes_per_step=np.bincount(key // N_CODES, minlength=VISITS),
            codes=(key % N_CODES).astype(np.int32),
            values_per_step=np.zeros(VISITS, np.int64),
            channels=np.empty(0, np.int32),
            values=np.empty(0, np.float32),
        )
    return open_sequences(folder)


class FlatGRU(nn.Module):
    """The model on flat batches."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = MultiHotLinear(N_CODES, UNITS)
        self.gru = nn.GRU(UNITS, UNITS)
        self.head = nn.Linear(UNITS, 2)

    def forward(self, codes: Tensor, offsets: Tensor, batch_sizes: Tensor) -> Tensor:
        """Logits (patient, 2); see :class:`sequela.sequences.visit_batches.VisitBatch`."""
        visits = self.embed(codes, offsets)
        packed = nn.utils.rnn.PackedSequence(visits, batch_sizes)
        logits: Tensor = self.head(self.gru(packed)[1][-1])
        return logits


class PaddedGRU(nn.Module):
    """The model on padded batches."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(N_CODES, UNITS, padding_idx=0)
        self.gru = nn.GRU(UNITS, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, 2)

    def forward(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Logits (patient, 2) of codes (patient, visit, code) and numbers of visits (patient,)."""
        visits = self.embed(codes).sum(2)  # (patient, visit, unit)
        states, _ = self.gru(visits)
        logits: Tensor = self.head(states[torch.arange(len(codes)), lengths - 1])
        return logits


def padded_batches(
    patients: list[list[list[int]]], labels: Tensor, generator: torch.Generator
) -> Iterator[tuple[tuple[Tensor, Tensor], Tensor]]:
    """Shuffled batches, padded with 0 to their longest patient and fullest visit."""
    drawn = torch.randperm(len(patients), generator=generator)
    for first in range(0, len(drawn), BATCH):
        rows = drawn[first : first + BATCH]
        chosen = [patients[i] for i in rows.tolist()]
        n_visits = [len(patient) for patient in chosen]
        fullest = max(len(visit) for patient in chosen for visit in patient)
        codes = torch.zeros(len(chosen), max(n_visits), fullest, dtype=torch.int64)
        for i, patient in enumerate(chosen):
            for j, visit in enumerate(patient):
                codes[i, j, : len(visit)] = torch.tensor(visit, dtype=torch.int64)
        yield (codes, torch.tensor(n_visits)), labels[rows]


Batches = Iterator[tuple[tuple[Tensor, ...], Tensor]]


def epoch(model: nn.Module, adam: torch.optim.Optimizer, batches: Batches) -> tuple[float, float]:
    """Seconds and mean loss of one pass."""
    begin, total, n = time.perf_counter(), 0.0, 0
    for inputs, labels in batches:
        loss = nn.functional.cross_entropy(model(*inputs), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        total, n = total + loss.item() * len(labels), n + len(labels)
    return time.perf_counter() - begin, total / n


def measure(name: str, model: nn.Module, batches: Callable[[], Batches], epochs: int) -> float:
    """The fastest of some epochs, in seconds."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    results = [epoch(model, adam, batches()) for _ in range(epochs)]
    best = min(seconds for seconds, _ in results)
    print(f"{name:<22} {best:6.2f} s an epoch, mean loss of the last {results[-1][1]:.4f}")
    return best


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--epochs", type=int, default=2)
    epochs = arguments.parse_args().epochs
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        sequences = synthetic(Path(folder) / "sequences")
        visits = np.split(sequences.codes, sequences.code_offsets[1:-1])
        nested = [
            [visit.tolist() for visit in visits[a:b]]
            for a, b in zip(sequences.step_offsets, sequences.step_offsets[1:], strict=False)
        ]
        labels = torch.from_numpy(sequences.label.astype(np.int64))
        loader = visit_loader(
            VisitDataset(sequences), batch_size=BATCH, generator=torch.Generator().manual_seed(0)
        )
        drawn = torch.Generator().manual_seed(0)
        plain = measure(
            "plain padded torch", PaddedGRU(), lambda: padded_batches(nested, labels, drawn), epochs
        )
        ours = measure("sequela", FlatGRU(), lambda: ((b.inputs, b.labels) for b in loader), epochs)
    print(f"ours / plain: {ours / plain:.2f} (target: at most 0.6)")


if __name__ == "__main__":
    main()
