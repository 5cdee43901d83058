"""Clinical sequence models: from raw EEG and hospital tables to a leak-checked evaluation."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sequela.version import __version__ as __version__

if TYPE_CHECKING:
    from sequela import register as register
    from sequela.estimators.signal_classifier import SignalClassifier as SignalClassifier
    from sequela.estimators.visit_classifier import VisitClassifier as VisitClassifier
    from sequela.notebook.evaluation import evaluate as evaluate
    from sequela.notebook.examples import load as load
    from sequela.notebook.visit_examples import load_visits as load_visits

# Loaded on first use: `import sequela` stays quick and loads no torch.
_PLACES = {
    "SignalClassifier": "sequela.estimators.signal_classifier",
    "VisitClassifier": "sequela.estimators.visit_classifier",
    "evaluate": "sequela.notebook.evaluation",
    "load": "sequela.notebook.examples",
    "load_visits": "sequela.notebook.visit_examples",
}
__all__ = [
    "SignalClassifier",
    "VisitClassifier",
    "__version__",
    "evaluate",
    "load",
    "load_visits",
    "register",
]


def __getattr__(name: str) -> Any:
    if name == "register":
        return import_module("sequela.register")
    if name not in _PLACES:
        raise AttributeError(f"module 'sequela' has no attribute '{name}'")
    # These take names of models and data sets, so plugins must be loaded before.
    import_module("sequela.plugins").load_plugins()
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return __all__
