"""Clinical sequence models: from raw EEG and hospital tables to a leak-checked evaluation."""

from importlib import import_module
from typing import TYPE_CHECKING

from sequela.version import __version__ as __version__

if TYPE_CHECKING:
    from sequela import register as register
    from sequela.api.evaluation import evaluate as evaluate
    from sequela.api.examples import load as load
    from sequela.api.examples import load_visits as load_visits
    from sequela.api.signal_classifier import SignalClassifier as SignalClassifier
    from sequela.api.survival import evaluate_survival as evaluate_survival
    from sequela.api.visit_classifier import VisitClassifier as VisitClassifier
    from sequela.report.pages.audit_page import audit as audit
    from sequela.report.pages.build import compare as compare
    from sequela.report.pages.build import report as report
    from sequela.serving.predict import predict as predict
    from sequela.studies.train import train as train
    from sequela.tables.hospitals import build as build

# Loaded on first use: `import sequela` stays quick and loads no torch.
_PLACES = {
    "SignalClassifier": "sequela.api.signal_classifier:SignalClassifier",
    "VisitClassifier": "sequela.api.visit_classifier:VisitClassifier",
    "audit": "sequela.audit:",
    "build": "sequela.tables.hospitals:build",
    "compare": "sequela.report.pages.build:compare",
    "evaluate": "sequela.api.evaluation:evaluate",
    "evaluate_survival": "sequela.api.survival:evaluate_survival",
    "load": "sequela.api.examples:load",
    "load_visits": "sequela.api.examples:load_visits",
    "predict": "sequela.serving.predict:predict",
    "report": "sequela.report:",
    "train": "sequela.studies.train:train",
}
__all__ = [
    "SignalClassifier",
    "VisitClassifier",
    "__version__",
    "audit",
    "build",
    "compare",
    "evaluate",
    "evaluate_survival",
    "load",
    "load_visits",
    "predict",
    "register",
    "report",
    "train",
]


def __getattr__(name: str) -> object:
    if name == "register":
        return import_module("sequela.register")
    if name not in _PLACES:
        raise AttributeError(f"module 'sequela' has no attribute '{name}'")
    # These take names of models and data sets, so plugins must be loaded before.
    import_module("sequela.plugins").load_plugins()
    place, _, function = _PLACES[name].partition(":")
    module = import_module(place)
    return getattr(module, function) if function else module


def __dir__() -> list[str]:
    return __all__
