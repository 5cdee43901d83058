"""Small parallel networks in one: they read the same inputs and are trained independently.

Each has its own output, loss and dropout in training; afterwards their probabilities are averaged
(Gorishniy et al. 2024, arXiv 2410.24210).
"""

from itertools import product

import torch
from torch import Tensor, nn

from sequela.models.cpu_training import Dropout

KNOTS = (0.5, 1.2)  # the normal scores at which a summary may bend, on either side of its median


def hinges(features: Tensor, knots: tuple[float, ...]) -> Tensor:
    """Return features with their excess over each knot: (patient, n_features * (1 + 2 * knots)).

    A linear layer on them is piecewise linear (Gorishniy et al. 2022, arXiv 2203.05556).
    """
    beyond = [torch.relu(side * features - knot) for knot, side in product(knots, (1, -1))]
    return torch.cat([features, *beyond], 1)


class Members(nn.Module):
    """Members on summaries, and on the hidden features of a network before them.

    All members read the ``n_hidden`` features. With ``linear``, linear logits of summaries
    are added to those of each member. :func:`hinges` describes ``knots``.
    """

    def __init__(
        self,
        n_features: int,
        n_hidden: int,
        n_outputs: int,
        *,
        members: int,
        hidden: int,
        dropout: float,
        input_dropout: float,
        knots: tuple[float, ...],
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.members, self.n_outputs, self.knots = members, n_outputs, knots
        width = n_features * (1 + 2 * len(knots))
        self.drop_features = Dropout(input_dropout)
        self.summarise = nn.Linear(width, members * hidden)
        self.dropout = Dropout(dropout)
        # A grouped convolution of one step is a linear layer for each member, in one product.
        self.answer = nn.Conv1d(
            members * (hidden + n_hidden), members * n_outputs, kernel_size=1, groups=members
        )
        self.linear = nn.Linear(width, n_outputs, bias=False) if linear else None
        self.n_read = members * hidden + n_hidden

    def shift(self, intercept: float) -> None:
        """Add a number to the logit of the second of two classes, in each member."""
        with torch.no_grad():
            self.answer.get_parameter("bias").view(-1, 2)[:, 1] += intercept

    def forward(self, features: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (patient, n_outputs), in training (member, patient, n_outputs), and more.

        Features are (patient, n_features), standardised; ``hidden`` is (patient, n_hidden).
        """
        summaries = self.drop_features(hinges(features, self.knots))
        of_members = nn.functional.gelu(self.summarise(summaries))  # (patient, member * hidden)
        apart = of_members.unflatten(1, (self.members, -1))  # (patient, member, hidden)
        shared = hidden[:, None].expand(-1, self.members, -1)  # (patient, member, n_hidden)
        inputs = self.dropout(torch.cat([apart, shared], 2)).flatten(1)[..., None]
        logits = self.answer(inputs).view(-1, self.members, self.n_outputs)
        if self.linear is not None:
            logits = logits + self.linear(summaries)[:, None]
        read = torch.cat([of_members, hidden], 1)  # (patient, n_read)
        if self.training:
            return logits.transpose(0, 1), read
        return logits.log_softmax(2).logsumexp(1), read  # of the mean probability
