"""Parameters and operations of any module, with their derivation.

``account`` counts. It is imported when it is first used, so that a written account can be read and
printed without torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sequela.cost.counting import account

__all__ = ["account"]


def __getattr__(name: str) -> Any:
    """The function that counts."""
    if name != "account":
        raise AttributeError(f"module 'sequela.cost' has no attribute '{name}'")
    from sequela.cost import counting

    return counting.account
