"""Operators that an exported network may name: those that take tensors and numbers and give tensors or sizes."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from NativeDLLib.inference.pt2_archive import NotRunError

_ARITHMETIC = ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg")
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_")
# Of sizes, which Python computes.
_OF_SIZES: Mapping[str, Callable[..., Any]] = {
    **{f"_operator.{name}": getattr(operator, name) for name in _ARITHMETIC + _COMPARISONS},
    **{f"math.{name}": getattr(math, name) for name in ("ceil", "floor", "trunc", "sqrt")},
    **{"torch.sym_max": max, "torch.sym_min": min, "torch.sym_int": int, "torch.sym_float": float},
    **{"torch.sym_not": operator.not_, "torch.sym_sum": sum},
}
_NAME = re.compile(r"torch\.ops\.(aten|prims)\.(\w+)\.(\w+)")
_PRIVATE = {
    *("_to_copy", "_unsafe_view", "_unsafe_index", "_reshape_alias", "_softmax", "_log_softmax", "_convolution"),
    *("_prelu_kernel", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "_native_batch_norm_legit"),
    *("_native_batch_norm_legit_no_training", "_batch_norm_impl_index", "_upsample_nearest_exact1d"),
    *("_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "_upsample_bilinear2d_aa"),
    *("_upsample_bicubic2d_aa", "_weight_norm", "_weight_norm_interface", "_trilinear", "_stack", "_cat"),
    *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention"),
    *("_scaled_dot_product_attention_math", "_scaled_dot_product_efficient_attention", "_assert_scalar"),
    *("_assert_async", "_assert_tensor_metadata", "_local_scalar_dense", "_fft_r2c", "_fft_c2r", "_fft_c2c"),
}
# Give no tensor, but a size, a number or nothing.
_WITHOUT_TENSOR = {
    *("sym_size", "sym_stride", "sym_numel", "sym_storage_offset", "sym_is_contiguous", "item"),
    *("_local_scalar_dense", "_assert_scalar", "_assert_async", "_assert_tensor_metadata", "sym_constrain_range"),
    *("sym_constrain_range_for_size",),
}
# Take a word, such as how a border is padded; of no other operator is a text handed on, as it may name a file.
_TAKE_WORDS = {
    *("div", "div_", "gelu", "gelu_", "pad", "conv1d", "conv2d", "conv3d", "einsum", "meshgrid"),
    *("scatter_reduce", "index_reduce", "searchsorted", "_assert_async", "_assert_scalar", "linalg_matrix_norm"),
    *("linalg_norm",),
}
_PLAIN = {"Tensor", "int", "SymInt", "float", "bool", "number", "Device", "complex"}


def find(target: Any, names: Sequence[str]) -> tuple[Callable[..., Any], Sequence[str] | None]:
    """Operator of a full name, given the names of its arguments, and their names in order up to the last that may stand
    without its name; None where all stand in the order in which they are given. ValueError where there is none of that
    name, or it could do more than compute.
    """
    if target in _OF_SIZES:
        return _OF_SIZES[target], None
    import torch

    match = _NAME.fullmatch(str(target))
    if match and (match[2] in _PRIVATE or not match[2].startswith("_")):
        found = getattr(getattr(getattr(torch.ops, match[1]), match[2], None), match[3], None)
        if isinstance(found, torch._ops.OpOverload) and _only_computes(found._schema, match[2], names):
            return found, [argument.name for argument in found._schema.arguments if not argument.kwarg_only]
    raise NotRunError(f"it calls '{str(target)[:80]}', which a network has no need for")


def _only_computes(schema: Any, name: str, given: Sequence[str]) -> bool:
    arguments = {argument.name: _plain_type(argument) for argument in schema.arguments}
    words = {"str"} if name in _TAKE_WORDS else set()
    takes = all(kind in _PLAIN | words for kind in (arguments.get(argument, "") for argument in given))
    gives = [_plain_type(result) for result in schema.returns]
    return takes and (name in _WITHOUT_TENSOR or "Tensor" in gives) and set(gives) <= _PLAIN


def _plain_type(argument: Any) -> str:
    """Type of an argument, or of what a list or an optional one is of."""
    return re.sub(r"^(Optional|List)\[(.*)\]$", r"\2", re.sub(r"^(Optional|List)\[(.*)\]$", r"\2", str(argument.type)))
