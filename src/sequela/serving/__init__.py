"""Finished models in use: one ONNX file, and what it says of new examples.

Nothing here loads torch, unless a run folder is given in place of a file::

    from sequela.serving import load

    model = load(Path("gru.onnx"))  # or a run folder
    model.about["classes"], model.about["signal"]["sfreq"]
    model.check_signal(unit="uV", sfreq=173.61, n_chans=1)
    model.probabilities({"signal": segments})  # float32 (example, class)

``model.about`` is what the file says of itself; :mod:`sequela.serving.about` lists its entries.
``model.inputs`` names what :meth:`~sequela.serving.served.ServedModel.probabilities` takes.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sequela.serving.served import ServedModel as ServedModel
    from sequela.serving.served import load as load

__all__ = ["ServedModel", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sequela.serving import served

    return getattr(served, name)
