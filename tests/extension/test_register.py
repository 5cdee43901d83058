"""What cannot be registered is refused in one sentence, and nothing of it stays."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import sequela
from sequela import plugins, register
from sequela.audit.finding import CHECKS
from sequela.cohort.tasks import TASKS, in_hospital
from sequela.datasets.catalog import DATA_SETS, DataSet, Signals
from sequela.errors import PluginError, SequelaError
from sequela.evaluation.metrics import METRICS
from sequela.figures.registry import RUN_FIGURES
from sequela.models.reference import REFERENCE_MODELS
from sequela.sequences.featurisers import FEATURISERS
from sequela.serving.served_model import from_bytes
from sequela.studies.registry import STUDIES

SIGNALS = Signals(("a", "b"), n_chans=1, sfreq=1.0, n_times=2)
PREVALENCE = REFERENCE_MODELS["prevalence"]
LOSS = replace(in_hospital().outcome, one="loss")


def check(code: str = "LAB001", name: str = "mine", needs: tuple[str, ...] = ()) -> None:
    register.check(code, name, lambda _: [], what="", remedy="", needs=needs)


# What else a model cannot read is in tests/models/test_registry.py.
@pytest.mark.parametrize(
    ("add", "complaint"),
    [
        (lambda: register.model("gru-baseline", "a:B", reads=("codes",)), "is registered already"),
        (lambda: register.model("My net", "a:B", reads=("codes",)), "cannot be named 'My net'"),
        (lambda: register.model("net", 3, reads=("codes",)), "the model is 3: expected a class"),  # type: ignore[arg-type]
        (lambda: register.model("net", "a:B", reads="codes"), "reads is 'codes': expected a tup"),  # type: ignore[arg-type]
        (lambda: register.reference_model("boosting", PREVALENCE), "is registered already"),
        (
            lambda: register.reference_model("mine", replace(PREVALENCE, reads=("code",))),
            "did you mean 'codes'",
        ),
        (lambda: register.data_set("bonn", DATA_SETS["bonn"]), "is registered already"),
        (lambda: register.data_set("my/eeg", DATA_SETS["bonn"]), "cannot be named 'my/eeg'"),
        (lambda: register.data_set("mine", DataSet("Mine", "ehr")), "lacks source"),
        (lambda: register.data_set("mine", DataSet("Mine", "eeg", signals=SIGNALS)), "lacks reads"),
        (lambda: register.data_set("mine", DATA_SETS["eicu"]), "the declaration of 'eicu'"),
        (lambda: register.task(TASKS["landmark"]), "is registered already"),
        (
            lambda: register.task(replace(in_hospital(), name="mine", outcome=LOSS)),
            "give it a label of its own",
        ),
        (lambda: register.metric(METRICS["auroc"]), "exists: choose another name"),
        (lambda: register.featuriser(FEATURISERS["counts"]), "is registered already"),
        (lambda: check("SQ001"), "'SQ001' or 'mine' is registered already"),
        (lambda: check("LAB001", "same content"), "is registered already"),
        (lambda: check("mine"), "cannot have the code 'mine': expected capital letters"),
        (lambda: check(needs=("signal",)), "need of a check 'signal': did you mean 'signals'"),
        (lambda: register.exporter("onnx", lambda *_: b"", from_bytes), "is registered already"),
        (lambda: register.figure(RUN_FIGURES["matrix"]), "is registered already"),
        (lambda: register.section("ground", "Ground", str), "'ground' is registered already"),
        (lambda: register.card_item("use", "Use", str), "card item 'use' is registered already"),
        (lambda: register.command("train", "a:b", "Train."), "is registered already"),
        (lambda: register.study(STUDIES["seizure"]), "is registered already"),
        (
            lambda: register.study(replace(STUDIES["seizure"], name="mine", data=("bon",))),
            "did you mean 'bonn'",
        ),
        (lambda: register.study(replace(STUDIES["seizure"], name="mine", data=())), "runs nothing"),
        *(
            (lambda add=add: add("wrong"), f"is 'wrong': expected a sequela.*{kind}")
            for add, kind in (
                (register.task, "Task"),
                (register.metric, "Metric"),
                (register.featuriser, "Featuriser"),
                (register.figure, "RunFigure"),
                (register.study, "Study"),
                (lambda wrong: register.data_set("mine", wrong), "DataSet"),
                (lambda wrong: register.reference_model("mine", wrong), "ReferenceModel"),
            )
        ),
    ],
)
def test_refused(add: Callable[[], None], complaint: str) -> None:
    with pytest.raises(SequelaError, match=complaint) as caught:
        add()
    assert "\n" not in str(caught.value)
    assert "mine" not in {*DATA_SETS, *TASKS, *STUDIES, *REFERENCE_MODELS}
    assert "LAB001" not in CHECKS


def test_a_plugin_may_use_the_package_and_is_imported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, count = tmp_path / "mine.py", tmp_path / "count"
    file.write_text(
        "import sequela\n"
        "from sequela import load, register\n"
        "from pathlib import Path\n"
        f"with Path({str(count)!r}).open('a') as file: file.write('x')\n",
        "utf-8",
    )
    monkeypatch.setenv("SEQUELA_PLUGINS", str(file))
    monkeypatch.setattr(plugins, "_loaded", [])
    monkeypatch.delitem(vars(sequela), "load", raising=False)
    assert callable(sequela.load)
    assert count.read_text() == "x"  # in Python too
    plugins.load_plugins()
    assert count.read_text() == "x"


def test_a_plugin_that_fails_is_named_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.py"
    file.write_text("1 / 0\n", "utf-8")
    monkeypatch.setenv("SEQUELA_PLUGINS", str(file))
    monkeypatch.setattr(plugins, "_loaded", [])
    for _ in range(2):
        with pytest.raises(PluginError, match=r"SEQUELA_PLUGINS: .*mine\.py cannot be loaded"):
            plugins.load_plugins()
