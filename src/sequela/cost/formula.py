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


class Formula(ABC):
    """A count as an expression; immutable, built with ``+``, ``-`` and ``*``."""

    @property
    @abstractmethod
    def value(self) -> int:
        """The value of the formula for its symbols' values."""

    @abstractmethod
    def render(self, symbol: "Callable[[Symbol], str]") -> str:
        """Format the formula as text, each symbol as ``symbol`` writes it."""

    @abstractmethod
    def symbols(self) -> "dict[str, Symbol]":
        """Return the symbols by name, in reading order."""

    def text(self) -> str:
        """Format the formula with its symbols: ``(n + 1)·m``."""
        return self.render(lambda symbol: symbol.name)

    def substitution(self) -> str:
        """Format the formula with the symbols' values: ``(178 + 1)·16``."""
        return self.render(lambda symbol: str(symbol.value))

    def __add__(self, other: "Formula | int") -> "Formula":
        return add([self, formula(other)])

    def __sub__(self, other: "Formula | int") -> "Formula":
        right = formula(other)
        return self if _is(right, 0) else Difference(self, right)

    def __mul__(self, other: "Formula | int") -> "Formula":
        return multiply([self, formula(other)])

    def __rmul__(self, other: int) -> "Formula":
        return multiply([formula(other), self])


@dataclass(frozen=True, slots=True)
class Number(Formula):
    """A whole number in a formula."""

    number: int

    @property
    def value(self) -> int:
        """The number."""
        return self.number

    def render(self, symbol: "Callable[[Symbol], str]") -> str:  # noqa: ARG002
        """Return the number in digits."""
        return str(self.number)

    def symbols(self) -> "dict[str, Symbol]":
        """Return no symbols."""
        return {}


@dataclass(frozen=True, slots=True)
class Symbol(Formula):
    """A named quantity.

    Attributes:
        name: A Python identifier; the text after an underscore is set as a subscript.
        number: Its value.
        meaning: What it counts, in a few words.
    """

    name: str
    number: int
    meaning: str

    @property
    def value(self) -> int:
        """The symbol's value."""
        return self.number

    def render(self, symbol: "Callable[[Symbol], str]") -> str:
        """Format the symbol with ``symbol``."""
        return symbol(self)

    def symbols(self) -> "dict[str, Symbol]":
        """Return the symbol itself."""
        return {self.name: self}


@dataclass(frozen=True, slots=True)
class Sum(Formula):
    """Two or more added terms."""

    terms: tuple[Formula, ...]

    @property
    def value(self) -> int:
        """The sum of the terms."""
        return sum(term.value for term in self.terms)

    def render(self, symbol: "Callable[[Symbol], str]") -> str:
        """Format the terms with plus signs."""
        return " + ".join(term.render(symbol) for term in self.terms)

    def symbols(self) -> "dict[str, Symbol]":
        """Return the terms' symbols."""
        return merged(self.terms)


@dataclass(frozen=True, slots=True)
class Difference(Formula):
    """The difference of two formulas."""

    left: Formula
    right: Formula

    @property
    def value(self) -> int:
        """The difference."""
        return self.left.value - self.right.value

    def render(self, symbol: "Callable[[Symbol], str]") -> str:
        """Format both with a minus sign; a sum or difference on the right is bracketed."""
        right = self.right.render(symbol)
        bracketed = isinstance(self.right, Sum | Difference)
        return f"{self.left.render(symbol)} - {f'({right})' if bracketed else right}"

    def symbols(self) -> "dict[str, Symbol]":
        """Return both sides' symbols."""
        return merged((self.left, self.right))


@dataclass(frozen=True, slots=True)
class Product(Formula):
    """Two or more multiplied factors."""

    factors: tuple[Formula, ...]

    @property
    def value(self) -> int:
        """The product of the factors."""
        return reduce(lambda product, factor: product * factor.value, self.factors, 1)

    def render(self, symbol: "Callable[[Symbol], str]") -> str:
        """Format the factors with dots; sums and differences are bracketed."""
        return "·".join(
            f"({factor.render(symbol)})"
            if isinstance(factor, Sum | Difference)
            else factor.render(symbol)
            for factor in self.factors
        )

    def symbols(self) -> "dict[str, Symbol]":
        """Return the factors' symbols."""
        return merged(self.factors)


def formula(value: Formula | int) -> Formula:
    """Return a formula unchanged, or a whole number as a formula."""
    return Number(value) if isinstance(value, int) else value


def add(terms: Iterable[Formula]) -> Formula:
    """Add terms; zeros are left out.

    Example:
        >>> add([Number(0), Symbol("n", 3, "inputs"), Number(1)]).text()
        'n + 1'
    """
    flat: list[Formula] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, Sum) else [term])
    kept = tuple(term for term in flat if not _is(term, 0))
    if not kept:
        return Number(0)
    return kept[0] if len(kept) == 1 else Sum(kept)


def multiply(factors: Iterable[Formula]) -> Formula:
    """Multiply factors; ones are left out, and a zero makes the product zero."""
    flat: list[Formula] = []
    for factor in factors:
        flat.extend(factor.factors if isinstance(factor, Product) else [factor])
    if any(_is(factor, 0) for factor in flat):
        return Number(0)
    kept = tuple(factor for factor in flat if not _is(factor, 1))
    if not kept:
        return Number(1)
    return kept[0] if len(kept) == 1 else Product(kept)


def merged(parts: Iterable[Formula]) -> dict[str, Symbol]:
    """Merge the symbols of several formulas, each name once."""
    found: dict[str, Symbol] = {}
    for part in parts:
        found |= part.symbols()
    return found


def parse(text: str, symbols: Mapping[str, Symbol]) -> Formula:
    """Parse the text of a formula, as written by ``Formula.text``.

    Raises:
        ValueError: If the text is not such a formula or has a symbol that is not given.

    Example:
        >>> parse("2·n - 1", {"n": Symbol("n", 5, "taps")}).value
        9
    """
    try:
        tree = ast.parse(text.replace("·", "*"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # raised by the parser
        raise ValueError(f"'{text[:60]!r}' is not a formula") from error
    return _from_tree(tree, symbols, text)


def _from_tree(node: ast.expr, symbols: Mapping[str, Symbol], text: str) -> Formula:
    match node:
        case ast.Constant(value=int(number)):
            return Number(number)
        case ast.Name(id=name) if name in symbols:
            return symbols[name]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _from_tree(left, symbols, text) + _from_tree(right, symbols, text)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _from_tree(left, symbols, text) - _from_tree(right, symbols, text)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _from_tree(left, symbols, text) * _from_tree(right, symbols, text)
    raise ValueError(f"'{text}' is not a formula of the symbols {', '.join(symbols) or 'none'}")


def _is(part: Formula, number: int) -> bool:
    return isinstance(part, Number) and part.number == number
