"""Operators that are known to be free."""

# Operators that move, choose or create values and compute nothing. Views are not listed: torch
# marks them itself.
FREE = frozenset(
    (
        *("_local_scalar_dense", "_pack_padded_sequence", "_pad_packed_sequence", "_to_copy"),
        *("_unsafe_index", "_unsafe_view", "_upsample_nearest_exact1d", "as_strided"),
        *("_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "arange", "cat"),
        *("channel_shuffle", "clone", "complex", "constant_pad_nd", "copy", "diag_embed"),
        *("embedding", "empty", "empty_like", "empty_permuted", "empty_strided", "eye", "fill"),
        *("flip", "full", "full_like", "gather", "im2col", "index", "index_select", "lift"),
        *("lift_fresh", "linspace", "masked_fill", "masked_scatter", "masked_select"),
        *("max_unpool2d", "max_unpool3d", "native_channel_shuffle", "new_empty"),
        *("new_empty_strided", "new_full", "new_ones", "new_zeros", "nonzero", "ones", "ones_like"),
        *("pixel_shuffle", "pixel_unshuffle", "reflection_pad1d", "reflection_pad2d"),
        *("reflection_pad3d", "repeat", "repeat_interleave", "replication_pad1d"),
        *("replication_pad2d", "replication_pad3d", "roll", "scalar_tensor", "scatter"),
        *("select_scatter", "slice_scatter", "split_with_sizes", "squeeze", "stack", "transpose"),
        *("tril", "tril_indices", "triu", "triu_indices", "unsafe_split"),
        *("unsafe_split_with_sizes", "unsqueeze", "upsample_nearest1d", "upsample_nearest2d"),
        *("upsample_nearest3d", "where", "zero", "zeros", "zeros_like"),
    )
)
