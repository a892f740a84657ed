"""Whether a model that came from a peer may be used: signed by whom the user trusts, or with the user's consent."""

from NativeDLLib.core.errors import ModelError
from NativeDLLib.models.iodeep.object_reader import ReceivedModel
from NativeDLLib.models.iodeep.signing import check_signature, fingerprint, trusted_keys_folder, trusted_name


def judge(received: ReceivedModel, accept_unsigned: bool) -> str | None:
    """Name of the trusted key that signed a model; None where there is none and the user agreed to that.

    ModelError where the signature is wrong, or consent is missing.
    """
    what = f"model {received.model.tool_name}"
    reason = "is not signed"
    if received.signature or received.public_key:
        check_signature(received.statement, received.signature, received.public_key, what)
        name = trusted_name(received.public_key)
        if name is not None:
            return name
        reason = f"is signed by a key that you do not trust ({fingerprint(received.public_key)})"
    if accept_unsigned:
        return None
    raise ModelError(
        f"{what} {reason}; trusted keys are in {trusted_keys_folder()}",
        hint="to use it all the same, put its signer's public key there, or pull it with --accept-unsigned",
    )
