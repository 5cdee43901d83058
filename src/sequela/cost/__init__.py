"""Parameters and operations of any module, with their derivation.

``account`` does the counting. It is imported on first use, so that a saved account can be read and
printed without torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sequela.cost.counting import account

__all__ = ["account"]


def __getattr__(name: str) -> object:
    """Import the counting function on first use."""
    if name != "account":
        raise AttributeError(f"module 'sequela.cost' has no attribute '{name}'")
    from sequela.cost.counting import account

    return account
