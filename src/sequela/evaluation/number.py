"""The format of numbers for people: in tables, sentences and pictures."""

import math

from sequela.disclosure import Hidden, is_small

_MINUTE = 60  # seconds of a minute
_HOUR = 3600  # seconds of an hour


def number(value: float | Hidden | None, form: str = ".3f") -> str:
    """Format a number: with a minus sign, without a sign before a zero, a dash for none or NaN.

    Example:
        >>> number(-0.001, ".2f"), number(0.012, "+.1%"), number(0.001, "+.1f")
        ('0.00', '+1.2%', '0.0')
    """
    if isinstance(value, Hidden):
        return str(value)
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    sign = "+z" if form.startswith("+") else "z"
    written = format(value, sign + form.removeprefix("+")).replace("-", "\N{MINUS SIGN}")
    return written.removeprefix("+") if not written.strip("+0.%") else written


def plural(count: Hidden | int, noun: str, nouns: str = "", smallest: int = 1) -> str:
    """Format a count with its noun; a count of people below ``smallest`` is hidden.

    Example:
        >>> plural(1, "stay"), plural(1200, "stay"), plural(2, "stay", smallest=10)
        ('1 stay', '1,200 stays', 'fewer than 10 stays')
    """
    nouns = nouns or f"{noun}s"
    if smallest > 1 and (isinstance(count, Hidden) or is_small(count, smallest)):
        return f"fewer than {smallest} {nouns}"
    return f"{count:,} {noun if count == 1 else nouns}"


def within(low: float, high: float, form: str = ".3f") -> str:
    """Format an interval in brackets, to follow its number.

    Example:
        >>> within(0.25, 0.5, ".2f")
        '(0.25 to 0.50)'
    """
    if low == high:  # a bootstrap that never varies is not an interval
        return "(no interval)"
    return f"({number(low, form)} to {number(high, form)})"


def duration(seconds: float) -> str:
    """Write a length of time in words, such as ``40 s``, ``2 min`` or ``3.2 hours``."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} hours"
