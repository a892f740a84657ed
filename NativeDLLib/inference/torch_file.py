"""Files of ``torch.save``, of which nothing is unpickled but tensors and plain values."""

import io
import warnings
import zipfile
from typing import Any

from NativeDLLib.core.zip_check import check_zip
from NativeDLLib.inference.confined import confined


def load_tensors(content: bytes) -> Any:
    """Content of a file of ``torch.save``.

    Parameters
    ----------
    content
        Bytes of the file.

    Raises
    ------
    ValueError
        Where it is an archive that torch does not write: compressed, with two directories, or TorchScript.
    Exception
        Whatever torch makes of another file, from RuntimeError to KeyError and pickle's own errors.
    """
    import torch

    stream = io.BytesIO(content)
    if content.startswith(b"PK"):
        check_zip(stream)
        with zipfile.ZipFile(stream) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed, which torch never writes")
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise ValueError("it is TorchScript, which is code and is not run")
        stream.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return confined(torch.load, stream, map_location="cpu", weights_only=True)
