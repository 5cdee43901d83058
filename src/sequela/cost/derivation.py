"""The derivation of each layer's count, line by line: formula, substitution, value."""

from collections.abc import Iterator
from dataclasses import dataclass

from sequela.cost.layers.work import Work
from sequela.cost.ledger import LayerCost, Omission
from sequela.cost.rules.formula import Formula, Number, Symbol, add, formula, merged


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a derivation with its formula; a ``part`` is included in a line further down."""

    label: str
    formula: Formula
    part: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """Formula, substitution and value, without repeats.

        Example:
            >>> n = Symbol("n", 178, "inputs")
            >>> Line("parameters", (n + 1) * 16).steps
            ('(n + 1)·16', '(178 + 1)·16', '2,864')
        """
        value, given = f"{self.formula.value:,}", self.formula.substitution()
        written = dict.fromkeys((self.formula.text(), given))
        return (*(text for text in written if text != str(self.formula.value)), value)


def derive(layer: LayerCost) -> list[Line]:
    """Derive the lines of a layer: its parameters, the parts of its work, its operations."""
    lines = [Line("parameters", layer.parameter_formula)]
    lines += [
        Line(f"of these {part.parameter}, counted in {part.owner}", Number(-part.size))
        for part in layer.shared
    ]
    for work in layer.work:
        lines += _operations(work, "operations")
    if len(layer.work) > 1:
        lines.append(Line("operations in all", Number(layer.operations)))
    for work in layer.embedding_sum:
        lines += _operations(work, "operations as a sum of rows")
    return lines


def _operations(work: Work, label: str) -> Iterator[Line]:
    """Yield the parts of one repetition, their sum, and all repetitions."""
    often = formula(work.calls) * work.times
    if len(work.parts) == 1:
        part = work.parts[0]
        yield Line(f"{label} ({part.label})", often * part.cost.operations)
        return
    for part in work.parts:
        yield Line(part.label, part.cost.operations, part=True)
    once = add(part.cost.operations for part in work.parts)
    if work.parts and often != Number(1):
        yield Line(f"one {work.unit}", Number(once.value), part=True)
    yield Line(label, often * once.value)


def legend(layer: LayerCost) -> dict[str, Symbol]:
    """Return the symbols of a layer that have one value in all of its lines."""
    lines = derive(layer)
    found = merged(line.formula for line in lines)
    return {
        name: symbol
        for name, symbol in found.items()
        if all(merged([line.formula]).get(name, symbol) == symbol for line in lines)
    }


def explain(omission: Omission) -> list[Line]:
    """Derive the lines of an omission of the report of 2019."""
    wanted = (("parameters", omission.parameters), ("operations", omission.operations))
    return [
        Line(f"{omission.layer}: {omission.reason}; {what}", count)
        for what, count in wanted
        if count != Number(0)
    ]
