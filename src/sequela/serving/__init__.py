"""Use of finished models: export to one ONNX file, prediction, scanning and serving.

Nothing here loads torch, unless a run folder is given instead of a file::

    from sequela.serving import load

    model = load(Path("gru.onnx"))  # or a run folder
    model.about["classes"], model.about["signal"]["sfreq"]
    model.check_signal(unit="uV", sfreq=173.61, n_chans=1)
    model.probabilities({"signal": segments})  # float32 (example, class)

``model.about`` has the metadata, as in :class:`sequela.serving.model_facts.ModelFacts`, and
``model.inputs`` the inputs of :meth:`~sequela.serving.served_model.ServedModel.probabilities`.
"""

import json
from pathlib import Path

from sequela.formats.opened import content
from sequela.serving.model_facts import as_text
from sequela.serving.served_model import ServedModel, exporter_of, from_bytes

__all__ = ["load"]


def load(path: Path | str, *, threads: int = 1, trust_code: bool = False) -> ServedModel:
    """Load a model from a file of ``sequela export``, or from a finished run.

    ONNX Runtime gets a file only if ``sequela export`` wrote it and nobody edited it since. This is
    no proof of its origin: load only files from people whom you trust.

    Args:
        path: A file, or a run folder. Baseline models predict as they were trained, by
            scikit-learn. Networks are exported in memory, or run by torch; both need it.
        threads: Threads of a prediction by ONNX Runtime.
        trust_code: Whether the run's model may be a class of a file or module.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed, or torch where a network needs it.
        DataNotFoundError: If there is no such file.
        DataError: If ``sequela export`` did not write the file, or it was edited or damaged.
        SequelaError: If the run is not finished, or its network cannot be exported.
    """
    path = Path(path)
    if not path.is_dir():
        data = content(path, "a file that sequela export wrote", "export the run again")
        return exporter_of(path).read(data, str(path), threads)
    from sequela.runs.find import single_run
    from sequela.runs.model import NetworkModel, open_model
    from sequela.serving.export import describe, exported

    folder = single_run(path)
    model = open_model(folder, trust_code=trust_code)
    if all(isinstance(leaf, NetworkModel) and leaf.of_package for leaf in model.leaves):
        return from_bytes(exported(path, trust_code=trust_code), str(path), threads)
    return ServedModel(str(path), json.loads(as_text(describe(folder, model))), model)
