"""A certificate for tests, from an authority that exists only for them.

Making certificates is the business of trustme, which is loaded when someone asks for TLS.
"""

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from simbus.errors import MissingExtra


class Certificate:
    """A server's certificate, and a file with the authority that a client has to trust.

    Args:
        identities: host names and addresses that it is for.

    Raises:
        MissingExtra: without ``simbus[tls]``.

    Attributes:
        ca_file: the path of the authority's certificate, in PEM; it exists until :meth:`close`.
    """

    def __init__(self, *identities: str) -> None:
        try:
            import trustme
        except ModuleNotFoundError as error:
            raise MissingExtra("rabbitmq.tls_url", "tls", error.name) from error
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self._issued = authority.issue_cert(*identities, key_type=trustme.KeyType.ECDSA)
        self._folder = TemporaryDirectory(prefix="simbus-")
        self.ca_file = str(Path(self._folder.name, "ca.pem"))
        authority.cert_pem.write_to_path(self.ca_file)

    def server_context(self) -> ssl.SSLContext:
        """The server's side of TLS, which asks clients for no certificate of theirs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issued.configure_cert(context)
        return context

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()
