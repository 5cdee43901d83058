"""The cost of a training step: forward, backward, and the optimiser's update.

The backward pass is not derived operation by operation; it is the forward pass times a factor for
each layer. With weights it is 2: one product of the same size gives the gradient of the input, one
the gradient of the weights. The first layer with weights needs no gradient of its input: 1 (a
recurrent layer still passes the state's gradient from step to step: 2). Without weights it is 1.

Sources of the factors: Kaplan et al., *Scaling laws for neural language models*, 2020
(arXiv:2001.08361, section 2.1: about twice the forward pass); Hobbhahn and Sevilla, *What's the
backward-forward FLOP ratio for neural networks?*, Epoch AI, 2021 (once for the first layer). The
loss and the masks of dropout are left out: a few operations for each value.
"""

from dataclasses import dataclass

from sequela.cost.ledger import Account
from sequela.cost.work import Primitive
from sequela.errors import unknown_name

SOURCE = "Kaplan et al. 2020 (arXiv:2001.08361); Hobbhahn and Sevilla 2021 (Epoch AI)"


OPTIMISERS = {
    update.name: update
    for update in (
        Primitive("sgd", 2, "w - a·g: 2"),
        Primitive("sgd-momentum", 4, "v = b·v + g: 2; w - a·v: 2"),
        Primitive(
            "adam",
            14,
            "m = b1·m + (1-b1)·g: 3; v = b2·v + (1-b2)·g·g: 4; corrections m/(1-b1^t), v/(1-b2^t): "
            "2; w - a·m/(sqrt(v) + e): 5 (Kingma and Ba 2015, algorithm 1)",
        ),
        Primitive(
            "adamw", 16, "Adam 14; decay w - a·c·w: 2 (Loshchilov and Hutter 2019, algorithm 2)"
        ),
    )
}
"""The update of one parameter in one step, by optimiser."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """The operations of a training step: forward, backward, and update.

    ``factors`` are those of the backward pass, by layer.
    """

    optimiser: Primitive
    forward: int
    factors: dict[str, int]
    backward: int
    update: int

    @property
    def total(self) -> int:
        """Operations of the step."""
        return self.forward + self.backward + self.update


def training_step(account: Account, optimiser: str = "adam") -> TrainingStep:
    """Count one step of training on the account's input, of any batch size."""
    if optimiser not in OPTIMISERS:
        raise unknown_name("optimiser", optimiser, OPTIMISERS)
    update = OPTIMISERS[optimiser]
    factors, backward, first = {}, 0, True
    for layer in account.layers:
        # A layer passes a gradient to its input and computes one of its weights, each about as
        # much work as the forward pass; nothing is before the first layer to pass a gradient to.
        learns = layer.parameter_formula.value > 0 and layer.operations > 0
        recurrent = layer.kind.startswith(("GRU", "LSTM", "RNN"))
        factor = 2 if learns and (recurrent or not first) else 1
        factors[layer.name] = factor
        backward += factor * layer.operations
        first = first and not learns
    return TrainingStep(
        optimiser=update,
        forward=account.operations,
        factors=factors,
        backward=backward,
        update=update.operations * account.trainable,
    )


def to_json(step: TrainingStep) -> dict[str, object]:
    """Return the step as plain values."""
    return {
        "optimiser": step.optimiser.name,
        "forward": step.forward,
        "backward": step.backward,
        "update": step.update,
        "total": step.total,
        "factors": step.factors,
        "source": SOURCE,
    }


def render_training(step: TrainingStep) -> str:
    """Format the step as plain text."""
    rows = [
        ("forward", step.forward, ""),
        ("backward", step.backward, "; ".join(f"{name} x {n}" for name, n in step.factors.items())),
        (f"update ({step.optimiser.name})", step.update, step.optimiser.how),
        ("one step", step.total, ""),
    ]
    lines = [f"{what:<16}{number:>18,}  {how}".rstrip() for what, number, how in rows]
    return "\n".join(["training, on the same input:", *lines, f"factors: {SOURCE}"])
