"""Models that others wrote: an exact number, or a clear refusal.

Their multiplications by a weight are counted a second time here, from the shapes that hooks see,
and that count is held against what torchvision publishes.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sequela.cost import account
from sequela.errors import ModelError

# name: whether torchvision's published GMACs are of convolutions and Linear layers only
NAMES = {
    "resnet18": True,
    "mobilenet_v3_small": True,
    "shufflenet_v2_x0_5": True,
    "efficientnet_b0": True,
    "densenet121": True,
    "convnext_tiny": True,
    "vit_b_16": False,
}


def built(name: str) -> tuple[nn.Module, Tensor, Any]:
    from torchvision import models  # takes seconds to import

    weights = models.get_model_weights(name).DEFAULT
    size = weights.transforms().crop_size[0]
    with torch.device("meta"):
        model = models.get_model(name, weights=None).eval()
        return model, torch.empty(1, 3, size, size), weights.meta


def by_hooks(model: nn.Module, x: Tensor) -> dict[str, int]:
    """Multiplications by a weight, from the shapes that each layer's hook sees."""
    found = {"products": 0, "scales": 0, "projections": 0}

    def hook(module: Any, given: Any, result: Any) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            found["products"] += result.numel() * module.weight[0].numel()
        elif isinstance(module, nn.BatchNorm2d | nn.LayerNorm) and module.weight is not None:
            found["scales"] += result.numel()
        elif isinstance(module, nn.MultiheadAttention):
            found["projections"] += 4 * given[0].numel() * module.embed_dim
        elif type(module).__name__ == "CNBlock":  # the layer scale of ConvNeXt
            found["scales"] += result.numel()

    handles = [module.register_forward_hook(hook) for module in model.modules()]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.slow(but="resnet18")
@pytest.mark.parametrize("name", NAMES)
def test_torchvision(name: str) -> None:
    model, x, published = built(name)
    expected = by_hooks(model, x)
    if NAMES[name]:
        assert expected["products"] / 1e9 == pytest.approx(published["_ops"], abs=1e-3)
    cost = account(model, x)
    assert cost.parameters == published["num_params"]
    assert cost.macs == sum(expected.values())
    assert cost.operations > 2 * cost.macs - cost.macs // 10
    assert not cost.unknown


@pytest.mark.slow
def test_windows_of_attention_that_no_module_holds() -> None:
    # Swin's attention calls functions; its published number counts it, ours are weights only.
    model, x, published = built("swin_t")
    cost = account(model, x)
    assert cost.parameters == published["num_params"]
    assert 0.9 * published["_ops"] < cost.macs / 1e9 < published["_ops"]


def test_a_transformer() -> None:
    e, feed, source, target = 16, 32, 5, 3
    with torch.device("meta"):
        model = nn.Transformer(e, 2, 1, 1, feed, batch_first=True)
        inputs = (torch.empty(1, source, e), torch.empty(1, target, e))
    cost = account(model, inputs)
    projections = (4 * source + 4 * target + 2 * target + 2 * source) * e * e
    feeds = 2 * (source + target) * e * feed
    norms = (2 * source + 3 * target + source + target) * e
    assert cost.macs == projections + feeds + norms
    assert cost.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.slow(but="lraspp_mobilenet_v3_large-counting rule: aten::upsample_bilinear2d")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ssdlite320_mobilenet_v3_large", "depends on the data"),
        ("lraspp_mobilenet_v3_large", "counting rule: aten::upsample_bilinear2d"),
    ],
)
def test_refusals(name: str, message: str) -> None:
    from torchvision import models

    with torch.device("meta"):
        model = models.get_model(name, weights=None, weights_backbone=None).eval()
    with pytest.raises(ModelError, match=message):
        account(model, torch.zeros(1, 3, 64, 64))
