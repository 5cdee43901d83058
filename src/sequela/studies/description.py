"""What a run says of its data, completed for run folders that were written before all was said."""

from collections.abc import Mapping
from typing import Any

from sequela.runs.find import Run

_TWO = 2


def described(run: Run) -> dict[str, Any]:
    """The run's ``data`` with ``question``, what is predicted in a sentence, and ``outcome``.

    ``outcome`` has the words for the second of two classes (``one``, ``many``, ``classes`` and
    ``label``), and ``positives`` counts how many examples have it.
    """
    data = dict(run.data)
    if "n_times" in data:
        seconds = data["n_times"] / data["sfreq"]
        data.setdefault(
            "question",
            f"which of {', '.join(data['classes'])} a segment of {seconds:.2f} s of EEG is",
        )
    if len(data["classes"]) == _TWO:
        data.setdefault("outcome", _outcome(data))
        data.setdefault("positives", class_counts(run)[1])
    return data


def class_counts(run: Run) -> list[int]:
    """Examples of each class, over all parts."""
    data = run.data
    if "positives" in data:
        return [data["examples"] - data["positives"], data["positives"]]
    tables = [part["confusion"] for part in run.first.metrics["parts"].values()]
    return [sum(sum(table[i]) for table in tables) for i in range(len(data["classes"]))]


def _outcome(data: Mapping[str, Any]) -> dict[str, Any]:
    negative, positive = data["classes"]
    died = (negative, positive) == ("survived", "died")
    return {
        "one": "death" if died else positive,
        "many": "deaths" if died else positive,
        "classes": [negative, positive],
        "label": data.get("task", {}).get("label", positive),
    }
