"""UIDs: texts that can refer to an object and can name a file."""

import re

# PS3.5 section 9 forbids leading zeros in a component, but scanners write them, and archives hold them.
_UID = re.compile(r"(?=[0-9.]{1,64}$)[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID."""
    return _UID.fullmatch(text) is not None
