"""Formulas as MathML, and the derivation of an account as an HTML fragment."""

from html import escape

from sequela.cost.derivation import Line, derive, explain, legend
from sequela.cost.formula import Difference, Formula, Number, Product, Sum, Symbol
from sequela.cost.ledger import Account, LayerCost


def render_mathml(account: Account) -> str:
    """Render the derivation: a ``<section>`` for each layer, a ``<math>`` element for each line.

    The fragment has no style and no script; classes are ``derivation``, ``part`` and ``symbols``.
    """
    sections = [_section(layer) for layer in account.layers]
    if account.report is not None and account.report.omissions:
        terms = [line for omission in account.report.omissions for line in explain(omission)]
        sections.append(
            '<section class="derivation"><h4>What the report of 2019 leaves out</h4>'
            f"{_lines(terms)}</section>"
        )
    return "\n".join(sections)


def math(formula: Formula) -> str:
    """Render a formula, its substitution and its value as one ``<math>`` element.

    Example:
        >>> math(Symbol("n", 3, "inputs") + 1)[:50]
        '<math><mrow><mrow><mi>n</mi><mo>+</mo><mn>1</mn></'
    """
    value = f"<mn>{formula.value:,}</mn>"
    if isinstance(formula, Number):
        return f"<math>{value}</math>"
    written, substituted = _element(formula, values=False), _element(formula, values=True)
    plain = f"<mn>{formula.value}</mn>"
    steps = dict.fromkeys((written, value if substituted == plain else substituted, value))
    return f"<math><mrow>{'<mo>=</mo>'.join(steps)}</mrow></math>"


def _section(layer: LayerCost) -> str:
    where = ", ".join(
        f"<math><mrow>{_element(s, values=False)}<mo>=</mo><mn>{s.number:,}</mn></mrow></math> "
        f"{escape(s.meaning)}"
        for s in legend(layer).values()
    )
    title = f"<h4>{escape(layer.name)}: {escape(layer.kind)}</h4>"
    symbols = f'<p class="symbols">{where}</p>' if where else ""
    return f'<section class="derivation">{title}{_lines(derive(layer))}{symbols}</section>'


def _lines(lines: list[Line]) -> str:
    return f"<ul>{''.join(map(_item, lines))}</ul>"


def _item(line: Line) -> str:
    opening = '<li class="part">' if line.part else "<li>"
    return f"{opening}{escape(line.label)}: {math(line.formula)}</li>"


def _element(formula: Formula, *, values: bool) -> str:
    """Render the formula as one MathML element, with symbols or their values."""
    match formula:
        case Number(number=number):
            return f"<mn>{number}</mn>"
        case Symbol():
            return f"<mn>{formula.number}</mn>" if values else _symbol(formula.name)
        case Sum(terms=terms):
            inner = "<mo>+</mo>".join(_element(term, values=values) for term in terms)
        case Difference(left=left, right=right):
            bracketed = isinstance(right, Sum | Difference)
            second = _element(right, values=values)
            second = _brackets(second) if bracketed else second
            inner = f"{_element(left, values=values)}<mo>&#x2212;</mo>{second}"
        case Product(factors=factors):
            inner = "<mo>&#x22C5;</mo>".join(_factor(factor, values=values) for factor in factors)
        case _:
            raise TypeError(f"no MathML for {type(formula).__name__}")
    return f"<mrow>{inner}</mrow>"


def _factor(factor: Formula, *, values: bool) -> str:
    element = _element(factor, values=values)
    return _brackets(element) if isinstance(factor, Sum | Difference) else element


def _brackets(element: str) -> str:
    return f"<mrow><mo>(</mo>{element}<mo>)</mo></mrow>"


def _symbol(name: str) -> str:
    base, _, subscript = name.partition("_")
    letter = f"<mi>{escape(base)}</mi>"
    return f"<msub>{letter}<mi>{escape(subscript)}</mi></msub>" if subscript else letter
