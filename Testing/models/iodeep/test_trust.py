"""Signatures: whose models need no consent, and which are never used."""

import subprocess
import sys
from dataclasses import replace

import pytest
from servers import require

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.models.iodeep.object_reader import read_model
from NativeDLLib.models.iodeep.object_writer import write_model
from NativeDLLib.models.iodeep.signing import fingerprint, judge, trusted_keys_folder


@pytest.fixture
def received(model, tmp_path, keys):
    """Write and read a model, signed by the named key where one is given."""

    def make(name=None):
        private, public = keys(name) if name else (None, None)
        files = write_model(model, tmp_path / f"objects-{name}", signing_key=private)
        return read_model(files, tmp_path / f"read-{name}"), public

    return make


def trust(public):
    trusted_keys_folder().mkdir(parents=True, exist_ok=True)
    (trusted_keys_folder() / public.name).write_bytes(public.read_bytes())


def test_a_trusted_signer_is_named(received):
    found, public = received("clinic")
    trust(public)

    assert judge(found, accept_unsigned=False) == "clinic"


def test_an_unknown_signer_needs_consent_and_is_told_by_the_keys_fingerprint(received):
    found, _ = received("clinic")

    with pytest.raises(ModelError, match=f"do not trust \\({fingerprint(found.public_key)}\\)") as caught:
        judge(found, accept_unsigned=False)
    assert "--accept-unsigned" in caught.value.hint
    assert judge(found, accept_unsigned=True) is None


def test_an_unsigned_model_needs_consent(received):
    found, _ = received()

    with pytest.raises(ModelError, match=r"model bright 1\.2\.3 is not signed") as caught:
        judge(found, accept_unsigned=False)
    assert "--accept-unsigned" in caught.value.hint
    assert judge(found, accept_unsigned=True) is None


def test_a_wrong_signature_is_refused_even_with_consent(received):
    found, public = received("clinic")
    trust(public)
    other, _ = received("other")
    for wrong in (
        replace(found, signature=found.signature[:-1] + bytes([found.signature[-1] ^ 1])),
        replace(found, public_key=other.public_key),
        replace(found, statement=found.statement + b"x"),
        replace(found, signature=b""),
        replace(found, public_key=b""),
        replace(found, public_key=b"\0" * 31),
    ):
        with pytest.raises(ModelError, match="its signature is not that of its content and its key"):
            judge(wrong, accept_unsigned=True)


def test_a_file_that_is_no_key_among_the_trusted_is_named(received, tmp_path):
    found, public = received("clinic")
    trust(public)
    (trusted_keys_folder() / "a.pem").write_text("no key")

    with pytest.raises(UsageError, match=r"a\.pem: is no PEM file of an Ed25519 public key"):
        judge(found, accept_unsigned=True)


@pytest.mark.parametrize("kind", ["rsa", "sm2", "password", "public", "text", "absent"])
def test_a_key_that_cannot_sign_is_refused_in_one_line(model, tmp_path, keys, kind):
    openssl, path = require("/usr/bin/openssl", "openssl"), tmp_path / "key.pem"
    if kind in ("rsa", "sm2"):
        subprocess.run([openssl, "genpkey", "-algorithm", kind, "-out", str(path)], check=True, capture_output=True)
    elif kind == "password":
        command = [openssl, "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out", str(path)]
        subprocess.run(command, check=True, capture_output=True)
    elif kind == "public":
        path = keys()[1]
    elif kind == "text":
        path.write_text("no key")

    with pytest.raises(UsageError, match=r"\.pem: (is no PEM file of an Ed25519 private key|cannot be read)") as caught:
        write_model(model, tmp_path / "objects", signing_key=path)
    assert "\n" not in str(caught.value)


def test_a_key_made_with_openssl_signs(model, tmp_path):
    path = tmp_path / "key.pem"
    command = [require("/usr/bin/openssl", "openssl"), "genpkey", "-algorithm", "ed25519", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)

    found = read_model(write_model(model, tmp_path / "objects", signing_key=path), tmp_path / "read")

    assert judge(found, accept_unsigned=True) is None
    assert len(found.signature) == 64


def test_without_cryptography_a_signed_model_says_what_to_install(received, monkeypatch):
    found, _ = received("clinic")
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)

    with pytest.raises(ModelError, match="a signature needs cryptography") as caught:
        judge(found, accept_unsigned=True)
    assert caught.value.hint == "install it with: pip install 'NativeDL[iodeep]'"
