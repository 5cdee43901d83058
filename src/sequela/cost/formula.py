"""Formulas with a text, a substitution and a value.

A derivation is printed from the same object that is evaluated, so that the printed and the counted
formula cannot differ. Formulas hold whole numbers, named symbols, sums, differences and products,
which is all that counts need.

Example:
    >>> n, m = Symbol("n", 178, "inputs"), Symbol("m", 16, "outputs")
    >>> weights = (n + 1) * m
    >>> weights.text(), weights.substitution(), weights.value
    ('(n + 1)·m', '(178 + 1)·16', 2864)
"""

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add as plus
from operator import mul, sub


class Formula(ABC):
    """A count as an expression; immutable, built with ``+``, ``-`` and ``*``."""

    @property
    @abstractmethod
    def value(self) -> int:
        """The value of the formula for its symbols' values."""

    @abstractmethod
    def text(self, *, values: bool = False) -> str:
        """Format the formula with its symbols, ``(n + 1)·m``, or with their values."""

    def symbols(self) -> "dict[str, Symbol]":
        """Return the symbols by name, in reading order."""
        return {}

    def substitution(self) -> str:
        """Format the formula with the symbols' values: ``(178 + 1)·16``."""
        return self.text(values=True)

    def __add__(self, term: "Formula | int") -> "Formula":
        return add([self, formula(term)])

    def __sub__(self, term: "Formula | int") -> "Formula":
        subtracted = formula(term)
        return self if _is(subtracted, 0) else Joined("-", (self, subtracted))

    def __mul__(self, factor: "Formula | int") -> "Formula":
        return multiply([self, formula(factor)])

    def __rmul__(self, factor: int) -> "Formula":
        return multiply([formula(factor), self])


@dataclass(frozen=True, slots=True)
class Number(Formula):
    """A whole number in a formula."""

    number: int

    @property
    def value(self) -> int:
        """The number."""
        return self.number

    def text(self, *, values: bool = False) -> str:  # noqa: ARG002 - it is its own value
        """Format the digits."""
        return str(self.number)


@dataclass(frozen=True, slots=True)
class Symbol(Formula):
    """A named quantity: an identifier (an underscore begins a subscript), a value and a meaning."""

    name: str
    number: int
    meaning: str

    @property
    def value(self) -> int:
        """The symbol's value."""
        return self.number

    def text(self, *, values: bool = False) -> str:
        """Format the name or the value."""
        return str(self.number) if values else self.name

    def symbols(self) -> "dict[str, Symbol]":
        """Return the symbol itself."""
        return {self.name: self}


@dataclass(frozen=True, slots=True)
class Joined(Formula):
    """Several terms joined by ``+`` or ``·``, or two by ``-``."""

    operator: str
    terms: tuple[Formula, ...]

    @property
    def value(self) -> int:
        """The value of the terms together."""
        joins = {"+": plus, "-": sub, "·": mul}
        return reduce(joins[self.operator], [term.value for term in self.terms])

    def text(self, *, values: bool = False) -> str:
        """Format the terms; sums and differences are bracketed in products and after a minus."""
        # Brackets are needed where a sum is a factor, or is subtracted.
        written = []
        for place, term in enumerate(self.terms):
            inner = isinstance(term, Joined) and term.operator != "·"
            binds = self.operator == "·" or (self.operator == "-" and place > 0)
            text = term.text(values=values)
            written.append(f"({text})" if inner and binds else text)
        return ("·" if self.operator == "·" else f" {self.operator} ").join(written)

    def symbols(self) -> dict[str, Symbol]:
        """Return the terms' symbols."""
        return merged(self.terms)


def formula(value: Formula | int) -> Formula:
    """Return a formula unchanged, or a whole number as a formula."""
    return Number(value) if isinstance(value, int) else value


def add(terms: Iterable[Formula]) -> Formula:
    """Add terms; zeros are left out.

    Example:
        >>> add([Number(0), Symbol("n", 3, "inputs"), Number(1)]).text()
        'n + 1'
    """
    return _joined("+", terms, 0)


def multiply(factors: Iterable[Formula]) -> Formula:
    """Multiply factors; ones are left out, and a zero makes the product zero."""
    # A zero factor may only show after joining, as the factor of a product among the factors.
    product = _joined("·", factors, 1)
    factored = isinstance(product, Joined) and product.operator == "·"
    zero = factored and any(_is(term, 0) for term in product.terms)  # type: ignore[attr-defined]
    return Number(0) if zero else product


def _joined(operator: str, parts: Iterable[Formula], neutral: int) -> Formula:
    """Join parts, without neutral ones; parts of the same operator are joined as their terms."""
    flat: list[Formula] = []
    for part in parts:
        same = isinstance(part, Joined) and part.operator == operator
        flat.extend(part.terms if same else [part])  # type: ignore[attr-defined]
    terms = tuple(part for part in flat if not _is(part, neutral))
    if not terms:
        return Number(neutral)
    return terms[0] if len(terms) == 1 else Joined(operator, terms)


def merged(parts: Iterable[Formula]) -> dict[str, Symbol]:
    """Merge the symbols of several formulas, each name once."""
    symbols: dict[str, Symbol] = {}
    for part in parts:
        symbols |= part.symbols()
    return symbols


def parse(text: str, symbols: Mapping[str, Symbol]) -> Formula:
    """Parse the text of a formula, as written by ``Formula.text``, with these symbols.

    Example:
        >>> parse("2·n - 1", {"n": Symbol("n", 5, "taps")}).value
        9
    """
    try:
        # Python's parser knows the precedence; nothing is evaluated.
        tree = ast.parse(text.replace("·", "*"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # raised by the parser
        raise ValueError(f"'{text[:60]!r}' is not a formula") from error
    return _from_tree(tree, symbols, text)


JOINS: dict[type, Callable[[Formula, Formula], Formula]] = {
    ast.Add: plus,
    ast.Sub: sub,
    ast.Mult: mul,
}


def _from_tree(node: ast.expr, symbols: Mapping[str, Symbol], text: str) -> Formula:
    match node:
        case ast.Constant(value=int(number)):
            return Number(number)
        case ast.Name(id=name) if name in symbols:
            return symbols[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in JOINS:
            terms = [_from_tree(side, symbols, text) for side in (left, right)]
            return JOINS[type(op)](*terms)
    raise ValueError(f"'{text}' is not a formula of the symbols {', '.join(symbols) or 'none'}")


def _is(part: Formula, number: int) -> bool:
    return isinstance(part, Number) and part.number == number
