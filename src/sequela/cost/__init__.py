"""Parameters and operations of any module, with their derivation."""
