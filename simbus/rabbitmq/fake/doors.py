"""Where real clients find the broker: its addresses, with and without TLS, and that of its management API.

Nothing listens before its address is asked for, and no certificate is made before someone asks for TLS.
"""

from simbus.rabbitmq.fake import addresses
from simbus.rabbitmq.fake.certificates import Certificate
from simbus.rabbitmq.fake.management import Management
from simbus.rabbitmq.fake.parts import Part

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other


class Doors(Part):
    """The addresses of the broker."""

    _login: tuple[str, str]  # the user and the password that addresses name
    _management: Management
    _certificate: Certificate | None = None

    @property
    def url(self) -> str:
        """Where real clients connect, as user guest with password guest unless there are ``users``; asked for first, it listens.

        Raises:
            CannotListen: when the port is taken.
        """
        return addresses.url("amqp", *self._network.address(), self._vhost.name, self._login)

    @property
    def host(self) -> str:
        """The address it listens on, which is loopback."""
        return self._network.address()[0]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._network.address()[1]

    def env(self) -> dict[str, str]:
        """The environment variables from which services usually read where their broker is.

        ``subprocess.Popen(service, env={**os.environ, **rabbitmq.env()})``
        """
        return addresses.variables(*self._network.address(), self._vhost.name, self._login)

    @property
    def tls_url(self) -> str:
        """Where real clients connect under TLS, at a port of its own; clients have to trust :attr:`tls_ca_file`.

        Raises:
            MissingExtra: without ``simbus[tls]``.
        """
        host, port = self._network.address(self._tls.server_context())
        return addresses.url("amqps", host, port, self._vhost.name, self._login)

    @property
    def tls_ca_file(self) -> str:
        """The path of the test authority's certificate, made anew for every broker: what a client's ``cafile`` wants."""
        return self._tls.ca_file

    @property
    def _tls(self) -> Certificate:
        self._certificate = self._certificate or Certificate("localhost", "127.0.0.1")
        return self._certificate

    @property
    def management_url(self) -> str:
        """Where the management API is, for :attr:`url`'s user; asked for first, it listens. Paths begin with ``/api``.

        Raises:
            CannotListen: when the port is taken.
        """
        return addresses.web_url(*self._management.address(), self._login)

    @property
    def management_port(self) -> int:
        """The port that the management API listens on."""
        return self._management.address()[1]

    def _shut_doors(self) -> None:
        """Hang up on clients, and stop listening until someone asks again."""
        self._management.close()
        self._network.close()
        if self._certificate is not None:
            self._certificate.close()
            self._certificate = None
