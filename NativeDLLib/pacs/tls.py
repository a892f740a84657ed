"""TLS contexts from the certificates that a peer is configured with."""

import ssl

from NativeDLLib.core.errors import UsageError
from NativeDLLib.pacs.peers import Tls


def client_tls(tls: Tls, name: str) -> ssl.SSLContext:
    """TLS context of our connections to the peer `name`; UsageError where a certificate or key is missing or wrong."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=tls.ca)
        context.check_hostname = tls.check_hostname
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key)
    except OSError as error:
        files = ", ".join(str(file) for file in (tls.ca, tls.cert, tls.key) if file)
        raise UsageError(f"the TLS files of {name} ({files}) cannot be used: {error}; see tls in pacs.json") from error
    return context


def server_tls(tls: Tls, name: str) -> ssl.SSLContext:
    """TLS context of connections from the peer called `name`, whose certificate `tls.ca` must vouch for."""
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(tls.cert or "", tls.key)
    except OSError as error:
        raise UsageError(f"cannot listen with the TLS files of {name}: {error}; see tls in pacs.json") from error
    return context
