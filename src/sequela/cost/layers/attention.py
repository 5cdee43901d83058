"""Attention: softmax(Q K^T / sqrt(d)) V, alone and with the projections around it."""

from dataclasses import dataclass

from sequela.cost.formula import Formula, Number, Symbol
from sequela.cost.layers.work import Part, Work, samples
from sequela.cost.primitives import Cost, dot, mean, softmax


@dataclass(frozen=True, slots=True)
class Attention:
    """Scaled dot-product attention of ``rows`` samples (heads included) without weights.

    Attributes:
        rows: Samples times heads.
        queries: Queries of a sample.
        keys: Keys of a sample.
        d: Width of a query and a key.
        d_v: Width of a value.
        masks: Masks of numbers that are added to the scores; one of booleans costs nothing.
    """

    rows: int
    queries: int
    keys: int
    d: int
    d_v: int
    masks: int = 0
    kind: str = "Attention"

    def parameters(self) -> Formula:
        """Return zero."""
        return Number(0)

    def work(self) -> Work:
        """Count scores, their scaling, the mask, softmax, and the weighted sum of the values."""
        return Work(self.query_parts(), samples(self.rows) * self.query_count(), "query")

    def query_count(self) -> Symbol:
        """Return the queries of a sample."""
        return Symbol("L", self.queries, "queries")

    def query_parts(self) -> tuple[Part, ...]:
        """Return the cost of one query of one head."""
        s = Symbol("S", self.keys, "keys")
        d, d_v = Symbol("d", self.d, "width of a key"), Symbol("d_v", self.d_v, "width of a value")
        mask = (Part("mask", Cost(self.masks * s)),) if self.masks else ()
        return (
            Part("scores", dot(d, bias=False, weighted=False).times(s)),
            Part("division by sqrt(d)", Cost(s)),
            *mask,
            Part("softmax", softmax(s)),
            Part("sum of the values", dot(s, bias=False, weighted=False).times(d_v)),
        )


@dataclass(frozen=True, slots=True)
class MultiheadAttention:
    """Projections of queries, keys and values, attention in each head, projection of the result.

    Attributes:
        rows: Samples.
        queries: Queries of a sample.
        keys: Keys and values of a sample, as passed.
        added: Keys that the layer adds itself (``bias_kv``, a zero).
        bias_kv: Whether one of them is learnt.
        e: Width of the layer.
        e_k: Width of the keys as passed.
        e_v: Width of the values as passed.
        heads: Heads.
        bias: Whether the projections have a bias.
        masks: Masks of numbers that are added to the scores.
        averaged: Whether the heads' weights are averaged and returned.
    """

    rows: int
    queries: int
    keys: int
    added: int
    bias_kv: bool
    e: int
    e_k: int
    e_v: int
    heads: int
    bias: bool
    masks: int
    averaged: bool
    kind: str = "MultiheadAttention"

    def _widths(self) -> tuple[Symbol, Symbol, Symbol]:
        e = Symbol("E", self.e, "width")
        e_k = Symbol("E_k", self.e_k, "width of the keys") if self.e_k != self.e else e
        e_v = Symbol("E_v", self.e_v, "width of the values") if self.e_v != self.e else e
        return e, e_k, e_v

    def parameters(self) -> Formula:
        """Count four projections, and one learnt key and value where they exist."""
        e, e_k, e_v = self._widths()
        weights = e * (e + e_k + e_v + e + 4 * int(self.bias))
        return weights + 2 * int(self.bias_kv) * e

    def work(self) -> Work:
        """Count projections, the heads' attention, and the last projection."""
        e, e_k, e_v = self._widths()
        queries = Symbol("L", self.queries, "queries")
        keys = Symbol("S_0", self.keys, "keys as given") if self.added else self._keys()
        heads = Symbol("h", self.heads, "heads")
        width = self.e // self.heads
        head = Attention(1, self.queries, self.keys + self.added, width, width, self.masks)
        parts = [
            Part("queries", self._project(e, queries)),
            Part("keys", self._project(e_k, keys)),
            Part("values", self._project(e_v, keys)),
            *(Part(part.label, part.cost.times(heads * queries)) for part in head.query_parts()),
            Part("projection of the heads", self._project(e, queries)),
        ]
        if self.averaged:
            parts.append(
                Part("mean of the heads' weights", mean(heads).times(queries * self._keys()))
            )
        return Work(tuple(parts), samples(self.rows), "sample")

    def _keys(self) -> Symbol:
        return Symbol("S", self.keys + self.added, "keys")

    def _project(self, n: Formula, rows: Formula) -> Cost:
        return dot(n, bias=self.bias).times(Symbol("E", self.e, "width")).times(rows)
