"""Operations that NumPy's arrays and torch's tensors name differently, so that one code serves both."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

ArrayOrTensor = Any
"""An ndarray, or a torch tensor that stays on its device."""


def is_tensor(array: ArrayOrTensor) -> bool:
    """Tell whether an array is one of torch."""
    return not isinstance(array, np.ndarray)


def zeros(shape: Sequence[int], like: ArrayOrTensor) -> ArrayOrTensor:
    """Return zeros of the type and on the device of another array."""
    return like.new_zeros(tuple(shape)) if is_tensor(like) else np.zeros(shape, like.dtype)


def contiguous(array: ArrayOrTensor) -> ArrayOrTensor:
    """Return an array with its elements in order in memory."""
    return array.contiguous() if is_tensor(array) else np.ascontiguousarray(array)


def copied(array: ArrayOrTensor) -> ArrayOrTensor:
    """Return a copy."""
    return array.clone() if is_tensor(array) else array.copy()


def flipped(array: ArrayOrTensor, axes: Sequence[int]) -> ArrayOrTensor:
    """Return an array with some axes in the other direction."""
    return array.flip(tuple(axes)) if is_tensor(array) else np.flip(array, tuple(axes))


def joined(arrays: Sequence[ArrayOrTensor], axis: int) -> ArrayOrTensor:
    """Return arrays one after the other along an axis."""
    if not is_tensor(arrays[0]):
        return np.concatenate(arrays, axis=axis)
    import torch

    return torch.cat(list(arrays), dim=axis)


def all_finite(array: ArrayOrTensor) -> bool:
    """Tell whether no value is infinite or not a number."""
    return bool(array.isfinite().all() if is_tensor(array) else np.isfinite(array).all())


def to_numpy(array: ArrayOrTensor) -> npt.NDArray[Any]:
    """Return an array in main memory."""
    result: npt.NDArray[Any] = array.cpu().numpy() if is_tensor(array) else array
    return result
