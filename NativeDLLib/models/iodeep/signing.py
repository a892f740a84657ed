"""Ed25519 signatures (RFC 8032) over a model's entry and weights, and the keys that the user trusts."""

import hashlib
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.core.places import kept
from NativeDLLib.models.iodeep.object_reader import ReceivedModel

_LARGEST_KEY_FILE = 2**16


def trusted_keys_folder() -> Path:
    """Return the folder of the public keys (PEM) whose models need no consent: ``~/.nativedl/trusted_keys``."""
    return kept("trusted_keys")


def load_private_key(path: Path) -> Any:
    """Ed25519 private key in a PEM file without a password; UsageError where there is none."""
    ed25519, serialization = _cryptography()
    try:
        key = serialization.load_pem_private_key(_read(path), None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read as a PEM private key without password ({error})") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UsageError(f"{path}: is no Ed25519 key; make one with: openssl genpkey -algorithm ed25519 -out {path}")
    return key


def public_bytes(key: Any) -> bytes:
    """Return the 32 bytes of the public key that belongs to a private one."""
    raw: bytes = key.public_key().public_bytes_raw()
    return raw


def fingerprint(public_key: bytes) -> str:
    """Start of the SHA-256 of a key's 32 bytes, by which a person compares two keys."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def check_signature(statement: bytes, signature: bytes, public_key: bytes, what: str) -> None:
    """Raise ModelError where a signature (64 bytes) does not belong to the statement and the public key (32 bytes)."""
    ed25519, _ = _cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, statement)
    except (InvalidSignature, ValueError) as error:
        raise ModelError(f"{what}: its signature is not that of its content and its key; it is not used") from error


def trusted_name(public_key: bytes) -> str | None:
    """Name of the trusted key file with a public key, or None; UsageError where one is no Ed25519 public key."""
    for path in sorted(trusted_keys_folder().glob("*.pem")):
        if _load_public_key(path) == public_key:
            return path.stem
    return None


def _load_public_key(path: Path) -> bytes:
    ed25519, serialization = _cryptography()
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as a PEM public key ({error}); remove or replace it") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise UsageError(f"{path}: is no Ed25519 public key; remove or replace it")
    raw: bytes = key.public_bytes_raw()
    return raw


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_LARGEST_KEY_FILE)


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        told = f"signatures need the package cryptography, which cannot be imported ({error})"
        raise ModelError(told, hint="install it with: pip install 'NativeDL[iodeep]'") from error
    return ed25519, serialization


def judge(received: ReceivedModel, accept_unsigned: bool) -> str | None:
    """Name of the trusted key that signed a model, None with consent; ModelError for a wrong signature or without."""
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
    hint = "to use it all the same, put its signer's public key there, or pull it with --accept-unsigned"
    raise ModelError(f"{what} {reason}; trusted keys are in {trusted_keys_folder()}", hint=hint)
