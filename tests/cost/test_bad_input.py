"""What cannot be counted is refused in one line that says what it is and what to do."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.cost.tally import Made
from torch import nn

from sequela.cost import account
from sequela.cost.network import count, loaded, network, parse_lengths, registered
from sequela.cost.record import load, save, to_json
from sequela.errors import ModelError, RunError, SequelaError, SettingError, UnknownNameError
from sequela.models.inputs import parse_settings

X = torch.zeros(1, 4)


def highest() -> nn.Module:
    return Made(lambda m, x: torch.cummax(m.fc(x), -1).values, fc=nn.Linear(4, 4))


def test_a_lower_bound_is_called_so() -> None:
    cost = account(highest(), X, allow_unknown=True)
    assert cost.lower_bound
    assert cost.operations == 32
    assert to_json(cost)["lower_bound"]
    assert [noted.operation for noted in cost.unknown] == ["aten::cummax"]


def offsets_without_values() -> Any:
    return torch.zeros(6, dtype=torch.long), torch.zeros(2, dtype=torch.long, device="meta")


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (
            Made(lambda _, x: torch.cdist(x, x)),
            torch.zeros(4, 4),
            "without a counting rule: aten::",
        ),
        (
            Made(lambda _, x: torch.fft.rfft(x).abs()),
            torch.zeros(4, 4),
            "without a counting rule: aten::",
        ),
        (
            Made(lambda _, x: x * 2 if x.sum() > 0 else x),
            X,
            r"Made's forward reads the values .*bad_input.py:",
        ),
        (
            nn.Linear(4, 2),
            torch.zeros(1, 5),
            "Linear's forward failed on input 1x5 at .*RuntimeError: a and b must have same",
        ),
        (nn.GRU(4, 2), torch.zeros(3, 1, 5), "GRU's forward failed on input 3x1x5"),
        (nn.Linear(4, 2), torch.zeros(0, 4), "empty"),
        (nn.Bilinear(4, 4, 2), X, r"Bilinear's forward failed on input 1x4 .*TypeError"),
        (nn.Sequential(nn.LazyLinear(3)), X, r"'0' \(LazyLinear\) is lazy"),
        (nn.EmbeddingBag(4, 2), offsets_without_values(), "values of its offsets"),
        (nn.Sequential(nn.Linear(4, 4), highest()), X, r"aten::cummax in 1, test_bad_input.py:\d+"),
    ],
)
def test_what_cannot_be_counted(model: nn.Module, given: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        account(model, given)


def heads(**options: bool) -> nn.Module:
    layer = nn.MultiheadAttention(4, 2, **options)
    return Made(lambda m, x: m.layer(x, x, x)[0], layer=layer)


def with_weight(compute: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> nn.Module:
    return Made(lambda m, x: compute(x, m.weight), weight=nn.Parameter(torch.zeros(1, 4)))


attend = nn.functional.scaled_dot_product_attention
ENDS = torch.tensor([0, 4])
PADDED = r"_embedding_bag \(not in this form\)"


@pytest.mark.parametrize(
    ("model", "inputs", "name"),
    [
        (Made(lambda m, x: torch.vmap(m.fc)(x), fc=nn.Linear(4, 2)), X, "vmap or .*func in fc"),
        (Made(lambda m, x: torch.vmap(m.n)(x), n=nn.RMSNorm(4)), X, "vmap or .*func in n,"),
        (Made(lambda _, x: torch.vmap(torch.sum)(x)), X, "torch.vmap or .*torch.func in test_bad"),
        (Made(lambda _, x: torch.func.grad(torch.sum)(x)), X, "torch.vmap or .*torch.func in test"),
        (with_weight(lambda x, w: attend(w, x, x)), X, "scaled_dot_product_attention of weights"),
        (with_weight(lambda x, w: attend(x, w, x)), X, "scaled_dot_product_attention of weights"),
        (with_weight(lambda x, w: attend(x, x, w)), X, "scaled_dot_product_attention of weights"),
        (heads(add_zero_attn=True), X, r"MultiheadAttention \(not in this form\) in layer"),
        (heads(add_bias_kv=True), X, r"MultiheadAttention \(not in this form\) in layer"),
        (nn.LSTM(4, 3, proj_size=2), X, r"LSTM \(not in this form\)"),
        (nn.ConvTranspose1d(1, 1, 2), X, r"convolution \(not in this form\)"),
        (nn.LPPool1d(2, 2), X, r"LPPool1d \(not in this form\)"),
        (nn.FractionalMaxPool2d(2, 1), torch.zeros(1, 1, 4, 4), "fractional_max_pool2d"),
        (nn.Bilinear(4, 4, 2), (X, X), "_trilinear"),
        (nn.EmbeddingBag(5, 2, padding_idx=0), torch.zeros(1, 2, dtype=torch.long), PADDED),
        (nn.EmbeddingBag(5, 2, mode="sum"), (torch.zeros(1, 2).long(), None, X[:, :2]), PADDED),
        (nn.EmbeddingBag(5, 2, include_last_offset=True), (torch.arange(4), ENDS), PADDED),
        (Made(lambda _, x: x.norm(p=1)), X, r"norm \(not in this form\)"),
        (Made(lambda _, x: torch.add(x, x, alpha=2)), X, r"aten::add.Tensor \(not in this form\)"),
        (Made(lambda _, x: torch.addmm(x, x, x.T, beta=2)), X, r"addmm \(not in this form\)"),
        (Made(lambda _, x: x.index_put((torch.tensor([0]),), x, accumulate=True)), X, "index_put"),
    ],
)
def test_what_no_model_of_the_package_uses_is_refused_by_name(
    model: nn.Module, inputs: Any, name: str
) -> None:
    with pytest.raises(ModelError, match=f"has operations without a counting rule: .*{name}"):
        account(model, inputs)


def test_a_module_with_hooks() -> None:
    model = nn.Sequential(nn.Linear(4, 2))
    handle = model[0].register_forward_hook(lambda _module, _given, result: result * 2)
    with pytest.raises(ModelError, match=r"'0' \(Linear\) has forward hooks"):
        account(model, X)
    handle.remove()
    assert account(model, X).operations == 16


def test_a_compiled_module() -> None:
    in_place = nn.Linear(4, 2)
    in_place.compile(backend="eager")
    for model in (in_place, torch.compile(nn.Linear(4, 2), backend="eager")):
        with pytest.raises(ModelError, match="is compiled: count the module that was given"):
            account(model, X)  # type: ignore[arg-type]


def test_a_module_in_torchscript() -> None:
    with warnings.catch_warnings():
        for says in (DeprecationWarning, FutureWarning):  # newer versions of torch do
            warnings.simplefilter("ignore", says)
        scripted = torch.jit.script(nn.Linear(4, 2))
    with pytest.raises(ModelError, match="TorchScript"):
        account(scripted, X)


def test_a_convention_that_does_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'exact'"):
        account(nn.Linear(4, 2), X, convention="exakt")


FILE = """
from torch import nn
class Encoder(nn.Module):
    def __init__(self, hidden=3):
        super().__init__()
        self.gru = nn.GRU(4, hidden, batch_first=True)
    def forward(self, x):
        return self.gru(x)[0]
def number():
    return 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.py"
    path.write_text(FILE)
    return path


def test_a_class_from_a_file(file: Path) -> None:
    encoder = loaded(f"{file}:Encoder", ["BxTx4"], {"hidden": 5}, steps=7)
    step = 3 * 5 * 2 * 4 + 3 * 5 * 2 * 5 + 5 * 5 + 5 * 5 + 8 * 5 + 4 * 5
    assert count(encoder).operations == 7 * step


def test_a_padded_batch_of_a_class(file: Path) -> None:
    cost = count(loaded(f"{file}:Encoder", ["BxTx4"], lengths=[1, 2, 4], slots=6))
    step = cost.executed.operations // 18
    assert cost.operations == cost.executed.operations == 18 * step
    assert cost.useful.operations == 7 * step


def test_a_class_from_a_package() -> None:
    cost = count(loaded("torch.nn:Linear", ["1x4"], {"in_features": 4, "out_features": 2}))
    assert (cost.model, cost.operations) == ("Linear", 16)


@pytest.mark.parametrize(
    ("where", "shapes", "message"),
    [
        ("encoder.py:Encodr", ["1x7x4"], "did you mean 'Encoder'"),
        ("encoder.py:number", ["1"], "is a int, not a torch.nn.Module"),
        ("encoder.py:Encoder", [], "needs the shapes of its input"),
        ("encoder.py:Encoder", ["1x0x4"], "is not a shape"),
        ("encoder.py:Encoder", ["1x7x4:float33"], "is not a shape"),
        ("encoder.py:Encoder", ["1x7x5"], "forward failed on input 1x7x5"),
        ("missing.py:Encoder", ["1"], "no file"),
        ("no.such.package:Encoder", ["1"], "cannot be imported"),
    ],
)
def test_a_class_that_cannot_be_loaded(
    file: Path, where: str, shapes: list[str], message: str
) -> None:
    where = str(file.parent / where) if ".py:" in where else where
    with pytest.raises(SequelaError, match=message):
        count(loaded(where, shapes))


@pytest.mark.parametrize(
    ("text", "name", "kwargs", "kind", "message"),
    [
        ("raise SystemExit(3)", "M", {}, ModelError, "cannot be imported: SystemExit: 3"),
        ("import no_such_thing", "M", {}, ModelError, "cannot be imported: ModuleNotFoundError"),
        ("def leaves(): raise SystemExit(3)", "leaves", {}, ModelError,
         "cannot be made: SystemExit: 3"),
        ("from torch import nn; made = nn.Linear(4, 2)", "made", {"bias": False}, SettingError,
         "is already a module"),
        (FILE, "Encoder", {"hiden": 3}, ModelError, "cannot be made: TypeError.*--kwargs"),
    ],
)  # fmt: skip
def test_a_file_that_fails(
    text: str,
    name: str,
    kwargs: dict[str, Any],
    kind: type[SequelaError],
    message: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "failing.py").write_text(text)
    with pytest.raises(kind, match=message):
        loaded(f"{tmp_path}/failing.py:{name}", ["1x4"], kwargs)


@pytest.mark.parametrize("where", [":Encoder", "torch.nn:", ":"])
def test_half_a_name(where: str) -> None:
    with pytest.raises(ModelError, match="names no class: write FILE"):
        network(where, shapes=["1x4"])
    with pytest.raises(ModelError, match=r"\.x cannot be imported"):
        network(".x:Encoder", shapes=["1x4"])


def test_a_large_input_takes_no_memory() -> None:
    linear = {"in_features": 4, "out_features": 2}
    assert count(loaded("torch.nn:Linear", ["9999999x9999999x4"], linear)).parameters == 10
    with pytest.raises(SettingError, match="no tensor can be as large"):
        count(loaded("torch.nn:Linear", ["99999999999999999999x4"], linear))


@pytest.mark.parametrize(
    ("kind", "ask", "message"),
    [
        (UnknownNameError, lambda: network("mlp-basline"), "did you mean 'mlp-baseline'"),
        (SettingError, lambda: registered("mlp-baseline", {"hiden": 3}), "hiden"),
        (SettingError, lambda: registered("gru-baseline", lengths=[3]), "segments of one length"),
        (
            SettingError,
            lambda: registered("visits-baseline", lengths=[5], slots=3),
            "cannot be padded to 3",
        ),
        (SettingError, lambda: registered("visits-baseline", steps=0), "at least 1"),
        (
            SettingError,
            lambda: registered("visits-baseline", {"n_codes": "9"}),
            "n_codes is '9'; expected a whole number",
        ),
        (
            SettingError,
            lambda: registered("cnn-baseline", {"n_chans": 0}),
            "n_chans must be a whole number of at least 1, not 0",
        ),
        (ModelError, lambda: registered("cnn-baseline", steps=2), "^a segment has n_times=2, but"),
        (SettingError, lambda: network("gru-baseline", codes=5), "no visits: give --steps"),
        (
            SettingError,
            lambda: network("torch.nn:Linear", shapes=["1x4"], codes=5),
            "no visits: describe its input",
        ),
        (
            SettingError,
            lambda: network("visits-baseline", steps=3, lengths=[1, 2]),
            "leave --steps out",
        ),
        (
            SettingError,
            lambda: registered("visits-baseline", {"n_codes": 11}, codes=12),
            "cannot have 12 codes, since visits-baseline knows only",
        ),
        (SettingError, lambda: network("model.py"), "names no class"),
        (SettingError, lambda: network("mlp-baseline", shapes=["1x178"]), "its own input"),
        (SettingError, lambda: parse_lengths("a,b"), r"1\.\.20"),
        (SettingError, lambda: parse_settings("{"), "not JSON"),
        (SettingError, lambda: parse_settings("[1]"), "JSON object"),
    ],
)
def test_settings_that_cannot_be_used(
    kind: type[SequelaError], ask: Callable[[], object], message: str
) -> None:
    with pytest.raises(kind, match=message):
        ask()


def test_settings_that_can() -> None:
    assert count(registered("visits-baseline", {"n_codes": 5})).inputs.count("visits of 5 codes")
    assert parse_settings('{"hidden": [1, 2]}') == {"hidden": (1, 2)}


def test_a_damaged_cost_file(tmp_path: Path) -> None:
    path = tmp_path / "cost.json"
    with pytest.raises(RunError, match="cannot be read"):
        load(path)
    cost = account(nn.Linear(4, 2), X)
    save(cost, path)
    assert load(path) == cost
    assert [child.name for child in tmp_path.iterdir()] == ["cost.json"]


Values = dict[str, Any]


def _without(*path: str) -> Callable[[Values], None]:
    """A change that takes out the last of these keys, in the first layer."""

    def change(values: Values) -> None:
        for key in path[:-1]:
            values = values[key][0] if isinstance(values[key], list) else values[key]
        del values[path[-1]]

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without("layers"), "layers: Field required"),
        (_without("unknown"), "unknown: Field required"),
        (_without("layers", "work"), r"layers\.0\.work: Field required"),
        (_without("layers", "work", "parts", "macs"), r"parts\.0\.cost: Field required"),
        (_without("layers", "work", "symbols", "n"), "'2·n' is not a formula of the symbols m"),
        (_without("layers", "parameter_formula", "formula"), "an instance of Formula"),
        (lambda values: values.update(trainable="many"), "a valid integer"),
        (lambda values: values["layers"][0]["work"][0].update(times="m +"), "is not a formula"),
        (lambda values: values["layers"].append(3), r"layers\.1: Input should be"),
    ],
)
def test_a_cost_file_with_a_wrong_place(
    tmp_path: Path, damage: Callable[[Values], None], message: str
) -> None:
    values = to_json(account(nn.Linear(4, 2), X))
    damage(values)
    path = tmp_path / "cost.json"
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=rf"^{path} is not a cost account \(.*{message}") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "null", "3", "{", "\udcff", '{"model": "x"}'])
def test_a_file_that_is_no_account(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cost.json"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(RunError, match=rf"^{path} (is not a|cannot be read as a) cost account"):
        load(path)
