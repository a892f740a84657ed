"""An image whose voxels can be written where they are: SimpleITK shows them for reading only, and copies arrays."""

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

_TYPES = {np.dtype(np.int16): sitk.sitkInt16, np.dtype(np.float32): sitk.sitkFloat32}


def new_image(shape: tuple[int, int, int], dtype: npt.DTypeLike) -> tuple[sitk.Image, npt.NDArray[Any]]:
    """Image of a shape (z, y, x), int16 or float32, and the array that is its own memory. The array must not be used
    once the image is gone, or was given other voxels.
    """
    image = sitk.Image(shape[::-1], _TYPES[np.dtype(dtype)])
    view = sitk.GetArrayViewFromImage(image)
    memory = (ctypes.c_ubyte * view.nbytes).from_address(view.ctypes.data)
    return image, np.frombuffer(memory, view.dtype).reshape(view.shape)
