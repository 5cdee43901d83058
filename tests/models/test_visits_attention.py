"""Attention over visits, against one patient at a time."""

import torch
from torch import Tensor

from sequela.models.members import Members, hinges
from sequela.models.visits_attention import VisitsAttention, VisitsAttentionConfig

VISITS = [[[1, 3], [2], [0, 4]], [[5], []], [[2, 3]]]
GAPS = [[0.0, 1.5, 30.0], [0.0, 7.0], [0.0]]


def batch(patients: list[int]) -> tuple[Tensor, ...]:
    """Codes, offsets, gaps, features and batch sizes of some patients, by falling length."""
    longest = max(len(VISITS[p]) for p in patients)
    places = [(p, step) for step in range(longest) for p in patients if step < len(VISITS[p])]
    visits = [VISITS[p][step] for p, step in places]
    features = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    return (
        torch.tensor([code for visit in visits for code in visit]),
        torch.tensor([0, *torch.tensor([len(v) for v in visits]).cumsum(0).tolist()]),
        torch.tensor([GAPS[p][step] for p, step in places]),
        features[patients],
        torch.tensor([sum(len(VISITS[p]) > step for p in patients) for step in range(longest)]),
    )


def model() -> VisitsAttention:
    torch.manual_seed(0)
    return VisitsAttention(VisitsAttentionConfig(n_codes=6, n_features=5)).eval()


def test_an_answer_for_each_patient_whoever_stands_beside() -> None:
    network = model()
    logits = network(*batch([0, 1, 2]))
    assert logits.shape == (3, 2)
    for patient in range(3):
        torch.testing.assert_close(network(*batch([patient]))[0], logits[patient])


def test_codes_time_and_features_are_read() -> None:
    network, given = model(), list(batch([0, 1, 2]))
    logits = network(*given)
    for place, changed in ((0, given[0].flip(0)), (2, given[2] + 1), (3, given[3] + 1)):
        other = [*given[:place], changed, *given[place + 1 :]]
        assert not torch.allclose(network(*other), logits)


def test_in_training_each_member_answers_for_itself() -> None:
    logits, second = model().train()(*batch([0, 1, 2]))
    assert logits.shape == (4, 3, 2)
    assert second.shape == (3,)


def test_members_answer_with_their_mean_probability() -> None:
    torch.manual_seed(0)
    members = Members(
        5, 3, 2, members=4, hidden=6, dropout=0.0, input_dropout=0.0, knots=(0.5,), linear=True
    )
    features, found = torch.randn(7, 5), torch.randn(7, 3)
    apart, _ = members.train()(features, found)
    together, _ = members.eval()(features, found)
    torch.testing.assert_close(together.softmax(1), apart.softmax(2).mean(0))


def test_hinges_are_how_far_a_number_is_beyond_a_knot() -> None:
    found = hinges(torch.tensor([[2.0, -1.0]]), (0.5,))
    assert found.tolist() == [[2.0, -1.0, 1.5, 0.0, 0.0, 0.5]]
