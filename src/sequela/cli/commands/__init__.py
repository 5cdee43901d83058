"""The commands of the package, in the order of work: registered as a plugin registers its own."""

from sequela.plugins import COMMANDS, Command

_TRY = "Show a first result: train a small model on the EEG that ships with sequela."
_SUMMARIES = {
    "data": "List, describe and check data sets.",
    "build": "Convert hospital tables to MEDS events, and account for every row.",
    "train": "Train one model and write a run folder.",
    "plan": "Compute how many patients a model and its evaluation need.",
    "update": "Adapt a model to another hospital, on some of its patients, as a new run.",
    "tune": "Search for good settings of a network, then train a run with the best.",
    "ensemble": "Average the predictions of finished runs into a new run.",
    "evaluate": "Evaluate a run on its test set, apply its model to other data, or evaluate "
    "predictions.",
    "combine": "Combine the releases of several sites: their mean, their spread, and a next site.",
    "compare": "Compare runs with the first one on the same test set.",
    "audit": "Look for leaks in a finished run, or in data, splits and predictions of anybody.",
    "explain": "Explain predictions of a network by the contribution of each sample or code.",
    "cost": "Count the parameters and operations of a model, with the derivation of each number.",
    "report": "Build one HTML page from run folders; the data are not needed.",
    "card": "Write the model card of a run in the Hugging Face format, with the TRIPOD+AI "
    "checklist.",
    "share": "Export the parts of a run that are safe to publish: page, card and numbers.",
    "verify": "Verify runs, or the releases of sites: their files and their numbers.",
    "export": "Write a run's network as one ONNX file, with everything that a prediction needs.",
    "predict": "Predict on new data and write the probabilities.",
    "scan": "Scan long EEG recordings and write the detected events.",
    "serve": "Serve a model over HTTP, with an interface for programs and a page for people.",
    "study": "Run a study that a file declares: data, task, models, seeds and claims.",
    "reproduce": "Reproduce the 2019 report and test its claims.",
}
"""The first sentence of the help of each command, which its module has too: the list of commands
imports no module."""
_MODULES = {
    "card": "report",
    "share": "report",
    "combine": "evaluate",
}  # of other names than their commands
COMMANDS.add(Command("try", "sequela.cli.commands.reproduce:try_", _TRY))
for _name, _summary in _SUMMARIES.items():
    _module = _MODULES.get(_name, _name)
    COMMANDS.add(Command(_name, f"sequela.cli.commands.{_module}:{_name}", _summary))
