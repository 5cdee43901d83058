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

from sequela.serving.served_model import ServedModel as ServedModel
from sequela.serving.served_model import load as load
