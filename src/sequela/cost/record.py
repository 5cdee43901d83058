"""The JSON form of an account (``cost.json`` of a run folder).

Formulas are written as text with their symbols, and read back as formulas, so that a derivation can
be printed from the file alone.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sequela.cost.formula import Formula, Symbol, merged, parse
from sequela.cost.ledger import Account, LayerCost, ReportCount
from sequela.cost.work import Part, Work
from sequela.errors import RunError
from sequela.files import whole
from sequela.formats.opened import json_value

Json = dict[str, Any]

# The entries of each record in the file, in their order; some are not fields.
KEYS: dict[type, str] = {
    Account: "model convention inputs parameters trainable operations macs lower_bound amounts "
    "layers free unknown report_2019",
    LayerCost: "name kind parameters operations macs formula substitution parameter_formula useful "
    "executed work embedding_sum shared",
    ReportCount: "parameters operations missing_parameters missing_operations parts omissions",
}
# Fields with another name in the file.
FIELDS = {"report_2019": "report", "value": "number"}
ACCOUNT = TypeAdapter(Account)
SYMBOLS = TypeAdapter(dict[str, Symbol])


def to_json(account: Account) -> Json:
    """Return the account as plain values.

    ``operations``, ``macs`` and those of each layer are for the input as passed; ``amounts`` has
    useful, executed and (with a multi-hot input) embedding-sum work.
    """
    return dict(_written(account))


def from_json(values: object) -> Account:
    """Restore the account that ``to_json`` wrote; raise a RunError for other values."""
    try:
        return ACCOUNT.validate_python(_read(values, {}))
    except ValidationError as error:
        first = error.errors()[0]
        wrong = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        wrong = str(error)
    raise RunError(f"not a cost account ({wrong}): write it again with `sequela cost --json`")


def save(account: Account, path: Path) -> None:
    """Write an account as JSON; the file appears whole or not at all."""
    with whole(path) as partial:
        content = json.dumps(to_json(account), indent=1, ensure_ascii=False)
        partial.write_text(content + "\n", encoding="utf-8")


def load(path: Path) -> Account:
    """Read an account; raise a RunError if the file is missing, or holds none."""
    try:
        values = json_value(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as a cost account: {error}") from error
    try:
        account = from_json(values)
        again = json.loads(json.dumps(to_json(account)))
    except RunError as error:
        raise RunError(f"{path} is {error}") from error
    # Totals are stored next to the formulas that give them: they must still agree.
    if again != values:
        names = [name for name in {**again, **values} if again.get(name) != values.get(name)]
        raise RunError(
            f"{path} is not a cost account as it was written: its formulas give other "
            f"{', '.join(names)[:100]}; write it again with `sequela cost --json`"
        )
    return account


def _written(part: object) -> Any:
    match part:
        case Formula():
            values = {"formula": part.text(), "substitution": part.substitution()}
            return values | {"value": part.value, "symbols": _symbols(part)}
        case Work(parts=parts, times=times):
            costs = chain.from_iterable((p.cost.operations, p.cost.macs) for p in parts)
            return {
                "calls": part.calls,
                "times": times.text(),
                "unit": part.unit,
                "parts": _written(parts),
                "symbols": _symbols(times, *costs),
            }
        case Part(label=label, cost=cost):
            return {"label": label, "operations": cost.operations.text(), "macs": cost.macs.text()}
        case dict():
            return {name: _written(value) for name, value in part.items()}
    if not is_dataclass(part):
        return [_written(item) for item in part] if isinstance(part, tuple) else part
    keys = KEYS[type(part)].split() if type(part) in KEYS else [f.name for f in fields(part)]
    return _written({key: getattr(part, FIELDS.get(key, key)) for key in keys})


def _symbols(*formulas: Formula) -> Json:
    return {s.name: {"value": s.number, "meaning": s.meaning} for s in merged(formulas).values()}


def _read(value: object, symbols: Mapping[str, Symbol]) -> Any:
    if isinstance(value, list):
        return [_read(item, symbols) for item in value]
    match value:
        # Symbols are next to the formulas that use them, so they are read first.
        case {"symbols": dict(meanings), **rest}:
            by_name = {name: {"name": name, **_read(s, {})} for name, s in meanings.items()}
            return _read(rest, SYMBOLS.validate_python(by_name))
        case {"formula": str(text), "value": _}:
            return parse(text, symbols)
        case {"label": label, "operations": str(operations), "macs": str(macs)}:
            cost = {"operations": parse(operations, symbols), "macs": parse(macs, symbols)}
            value = {"label": label, "cost": cost}
        case {"times": str(times), "parts": parts, **rest}:
            value = {**rest, "times": parse(times, symbols), "parts": _read(parts, symbols)}
        case dict():
            value = {FIELDS.get(key, key): _read(item, symbols) for key, item in value.items()}
    return value
