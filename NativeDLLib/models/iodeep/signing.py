"""Ed25519 signatures (RFC 8032) over a model's entry and weights, and the keys that the user trusts."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.core.places import kept
from NativeDLLib.inference.network import require
from NativeDLLib.models.iodeep.object_reader import ReceivedModel

_LARGEST_KEY_FILE = 2**16


def trusted_keys_folder() -> Path:
    """Return the folder of the public keys (PEM) whose models need no consent: ``~/.nativedl/trusted_keys``."""
    return kept("trusted_keys")


def load_private_key(path: Path) -> Any:
    """Ed25519 private key in a PEM file without a password; UsageError where there is none."""
    ed25519, serialization = _cryptography()
    load = partial(serialization.load_pem_private_key, password=None)
    hint = f"make one with: openssl genpkey -algorithm ed25519 -out {path}"
    return _load(path, load, ed25519.Ed25519PrivateKey, "private key without a password", hint)


def fingerprint(public_key: bytes) -> str:
    """Start of the SHA-256 of a key's 32 bytes, by which a person compares two keys."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def judge(received: ReceivedModel, accept_unsigned: bool) -> str | None:
    """Name of the trusted key that signed a model, None with consent; ModelError for a wrong signature or without.
    UsageError where a file among the trusted keys is no Ed25519 public key.
    """
    what = f"model {received.model.tool_name}"
    reason = "is not signed"
    if received.signature or received.public_key:
        ed25519, serialization = _cryptography()
        from cryptography.exceptions import InvalidSignature

        try:
            ed25519.Ed25519PublicKey.from_public_bytes(received.public_key).verify(
                received.signature, received.statement
            )
        except (InvalidSignature, ValueError) as error:
            raise ModelError(f"{what}: its signature is not that of its content and its key; it is not used") from error
        load, kind = serialization.load_pem_public_key, ed25519.Ed25519PublicKey
        for path in sorted(trusted_keys_folder().glob("*.pem")):
            trusted = _load(path, load, kind, "public key", "remove it from the trusted keys, or replace it")
            if trusted.public_bytes_raw() == received.public_key:
                return path.stem
        reason = f"is signed by a key that you do not trust ({fingerprint(received.public_key)})"
    if accept_unsigned:
        return None
    hint = "to use it all the same, put its signer's public key there, or pull it with --accept-unsigned"
    raise ModelError(f"{what} {reason}; trusted keys are in {trusted_keys_folder()}", hint=hint)


def _load(path: Path, load: Callable[[bytes], Any], kind: type, what: str, hint: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        with path.open("rb") as stream:
            key = load(stream.read(_LARGEST_KEY_FILE))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, kind):
        raise UsageError(f"{path}: is no PEM file of an Ed25519 {what}", hint=hint)
    return key


def _cryptography() -> tuple[Any, Any]:
    place = "cryptography.hazmat.primitives"
    ed25519 = require(f"{place}.asymmetric.ed25519", "iodeep", "a signature")
    return ed25519, require(f"{place}.serialization", "iodeep", "a signature")
