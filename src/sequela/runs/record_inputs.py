"""Inputs of models from hospital records, with predictions and attributions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.config import TrainingSettings
from sequela.evaluation.attribution import (
    STEPS,
    Attribution,
    attribute_record,
    contrast,
    number_of,
)
from sequela.evaluation.importance import Importance, Of, ranked
from sequela.sequences.featurisers import FEATURES, Features, Table, lookup
from sequela.sequences.flat import CodeAt, Sequences, examples_of
from sequela.sequences.tables import static_names
from sequela.sequences.visit_batches import (
    BesideCodes,
    VisitBatch,
    VisitDataset,
    visit_loader,
)

if TYPE_CHECKING:
    from sequela.runs.records import VisitData

_PREDICTION_BATCH = 1024
_TWO = 2


@dataclass(frozen=True)
class VisitInputs:
    """The inputs of a model of visits.

    Attributes:
        data: The examples.
        reads: The names of the model's inputs, in its order.
        described: Its table of features, if it reads one.
        scales: Scales of values and static columns, if it reads those.
    """

    data: "VisitData"
    reads: tuple[str, ...]
    described: Features | None
    scales: Mapping[str, NDArray[Any]]

    @property
    def state(self) -> dict[str, NDArray[Any]]:
        """The fitted preprocessing, to be stored with the model."""
        return {**self.scales, **(self.described.state if self.described else {})}

    @property
    def features(self) -> Table:
        """The table of a baseline model: float32 (example, feature), or no columns."""
        empty = np.empty((len(self.data.sequences), 0), np.float32)
        return self.described.table if self.described else empty

    @property
    def shape(self) -> dict[str, int]:
        """The sizes for building a model."""
        sequences = self.data.sequences
        return {
            "n_codes": len(sequences.vocabulary),
            "n_channels": len(sequences.channel_names),
            "n_static": len(static_names(sequences)),
            "n_features": self.features.shape[1],
            "n_outputs": len(self.data.classes),
            "n_bins": int(sequences.header["settings"]["bins"]),
        }

    @cached_property
    def _typical(self) -> int:
        """The training example with the median number of codes above 0."""
        sequences, rows = self.data.sequences, self.data.rows("train")
        first, last = (sequences.step_offsets[rows + i] for i in (0, 1))
        codes = sequences.code_offsets[last] - sequences.code_offsets[first]
        order = np.argsort(codes, kind="stable")
        coded = order[np.count_nonzero(codes == 0) :]
        order = coded if len(coded) else order
        return int(rows[order[len(order) // 2]])

    @cached_property
    def alone(self) -> Sequences:
        """The typical example."""
        return examples_of(self.data.sequences, np.array([self._typical]))

    @property
    def example(self) -> tuple[Tensor, ...]:
        """Inputs of the typical example."""
        return self._dataset()[[self._typical]].inputs

    def _dataset(self, rows: NDArray[np.int64] | None = None) -> VisitDataset:
        if self.reads == ("codes",):
            return VisitDataset(self.data.sequences, rows)
        table = self.described.standardised if self.described else None
        beside = BesideCodes(self.data.sequences, self.reads, self.scales, table)
        return VisitDataset(self.data.sequences, rows, beside)

    def loader(
        self,
        part: str,
        batch_size: int,
        generator: torch.Generator | None = None,
        training: TrainingSettings | None = None,
    ) -> DataLoader[VisitBatch]:
        """Load batches of a set, in random order if ``generator`` is given."""
        del training  # it varies signals only
        dataset = self._dataset(self.data.rows(part))
        return visit_loader(dataset, batch_size=batch_size, generator=generator)

    def probabilities(self, model: nn.Module) -> NDArray[np.float32]:
        """Predict probabilities of all examples with a network: float32 (example, class)."""
        device = next(model.parameters()).device
        found = np.empty((len(self.data.sequences), len(self.data.classes)), np.float32)
        model.eval()
        with torch.inference_mode():
            for batch in visit_loader(self._dataset(), batch_size=_PREDICTION_BATCH):
                logits = model(*batch.to(device).inputs)
                found[batch.order.numpy()] = logits.float().softmax(1).cpu().numpy()
        return found

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all inputs: codes, channels, static columns, features."""
        sequences = self.data.sequences
        features: tuple[str, ...] = ()
        if self.described is not None:
            read = next(each for each in self.reads if each.startswith(FEATURES))
            prefix, state = f"{read}:", self.described.state
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            columns = lookup(read.removeprefix(FEATURES)).columns(sequences, own)
            features = tuple(f"{column.name} (whole record)" for column in columns)
        channels = tuple(f"{name} (value)" for name in sequences.channel_names)
        return (*sequences.vocabulary, *channels, *static_names(sequences), *features)

    def _moving(self, row: int, batch: VisitBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the index of the name and the visit of each input of a record."""
        sequences, heads = self.data.sequences, {each.partition(":")[0] for each in self.reads}
        visits = np.arange(int(sequences.lengths[row]))
        counts = batch.offsets.diff().numpy()
        first_channel = len(sequences.vocabulary)
        first_static = first_channel + len(sequences.channel_names)
        first_feature = first_static + len(static_names(sequences))
        places, where = [], []
        if "codes" in heads:
            places.append(batch.codes.numpy())
            where.append(np.repeat(visits, counts))
        if batch.mask is not None:
            visit, channel = np.nonzero(batch.mask.numpy())
            places.append(first_channel + channel)
            where.append(visit)
        for tensor, first in ((batch.static, first_static), (batch.features, first_feature)):
            if tensor is not None:
                places.append(first + np.arange(tensor.shape[1]))
                where.append(np.full(tensor.shape[1], visits[-1]))
        return np.concatenate(places), np.concatenate(where)

    def attribution(
        self, model: nn.Module, row: int, weights: Tensor, steps: int | None
    ) -> Attribution:
        """Attribute a number of a model to the inputs of a record: values (input,)."""
        return attribute_record(model, self._dataset()[[row]], weights, steps)

    def describe_example(self, row: int) -> dict[str, Any]:
        """Describe the inputs of a record in the order of :meth:`attribution`."""
        places, visits = self._moving(row, self._dataset()[[row]])
        sequences = self.data.sequences
        times = sequences.step_time[int(sequences.step_offsets[row]) + visits]
        days = (sequences.prediction_time[row] - times) / np.timedelta64(1, "D")
        having = sequences.header["training_subjects"]
        everybody = len(self.data.rows("train"))  # other inputs than codes are in every record
        found = (
            CodeAt(self.names[p], v + 1, d, having[p] if p < len(having) else everybody)
            for p, v, d in zip(places.tolist(), visits.tolist(), days.tolist(), strict=True)
        )
        return {"codes": tuple(found)}

    def importance(self, model: nn.Module, smallest: int) -> Importance:
        """Rank the inputs of a model by importance over the test set."""
        rows, dataset = self.data.rows("held_out"), self._dataset()

        def found() -> Iterator[Of]:
            for row in rows.tolist():
                batch = dataset[[row]]
                one = attribute_record(model, batch, contrast(_TWO, 1), STEPS)
                yield int(self.data.sequences.subject_id[row]), self._moving(row, batch)[0], one

        what = number_of(self.data.classes, self.data.classes[1])
        return ranked(self.names, found(), len(rows), what, smallest)
