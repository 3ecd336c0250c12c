"""``simbus serve`` as its users meet it: a process, a client in another one, signals, and what stands in the terminal."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pika
import pytest

from simbus import serve as serving
from simbus.rabbitmq.versions import VERSIONS

SERVE = (sys.executable, "-c", "import sys; from simbus.cli import main; sys.exit(main())", "serve", "--port", "0")
GUEST = "Basic Z3Vlc3Q6Z3Vlc3Q="
TEST12 = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"  # https://www.rabbitmq.com/docs/passwords


class Served:
    """The running command."""

    def __init__(self, process):
        self.process = process
        self.first = process.stdout.readline()
        self.lines = [self.first]

    @property
    def url(self):
        return next(word for word in self.first.split() if word.startswith("amqp://"))

    def connect(self, name="billing", **changes):
        parameters = pika.URLParameters(self.url)
        parameters.client_properties = {"connection_name": name}
        for key, value in changes.items():
            setattr(parameters, key, value)
        return pika.BlockingConnection(parameters)

    def line(self, word):
        """The next line with this word in its column, without the time."""
        for line in self.process.stdout:
            self.lines.append(line)
            if line[14:].startswith(f"{word} "):
                return line[14:].rstrip()
        raise AssertionError(f"no line says {word!r}:\n" + "".join(self.lines))

    def stop(self, number=signal.SIGINT):
        """Exit code, the rest of the log, and the standard error."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextmanager
def served(*options, **environment):
    process = subprocess.Popen(
        [*SERVE, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        encoding="utf-8",
    )
    try:
        yield Served(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def node():
    with served() as node:
        yield node


def complaint(*options):
    """The one line that the command ends with, and its exit code."""
    done = subprocess.run([*SERVE, *options], capture_output=True, text=True, check=False, timeout=20)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_a_signal_stops_it(node, number):
    assert node.first.startswith("simbus serves RabbitMQ 4.0 at amqp://guest:guest@127.0.0.1:")
    assert node.first.endswith("/ (Ctrl-C stops it)\n")
    assert node.stop(number) == (0, "simbus stopped: 0 messages published, 0 connections served\n", "")


def test_it_is_the_rabbitmq_that_is_asked_for():
    with served("--rabbitmq-version", "3.10") as node:
        assert node.first.startswith("simbus serves RabbitMQ 3.10 at ")
        connection = node.connect()
        assert connection._impl.server_properties["version"] == "3.10.8"
        connection.close()


def test_a_version_that_there_is_not_is_refused_with_those_that_there_are():
    choices = ", ".join(repr(name) for name in VERSIONS)
    code, text = complaint("--rabbitmq-version", "3.13")
    assert (code, choices in text) == (2, True)


def test_the_way_of_a_message_stands_in_the_log(node):
    with node.connect() as connection:
        assert node.line("connected").endswith("(billing) as guest to vhost /")
        channel = connection.channel()
        channel.queue_declare("parked", durable=True)
        arguments = {"x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "parked"}
        channel.queue_declare("offers", arguments=arguments)
        assert node.line("declared").startswith("declared        queue parked (classic, durable) by 127.0.0.1:")
        channel.basic_publish("", "offers", b"seat 12A")
        assert node.line("published").endswith("#1 to (default exchange)/offers, 8 bytes, routed to offers")
        assert node.line("expired").endswith("#1 in offers, dead-lettered")
        assert node.line("dead-lettered").endswith("#1 to parked")
        channel.basic_qos(prefetch_count=5)
        tag = channel.basic_consume(
            "parked", lambda channel, method, _, __: channel.basic_ack(method.delivery_tag), consumer_tag="c"
        )
        assert "parked by c of 127.0.0.1:" in node.line("consuming")
        connection.process_data_events(10)
        assert node.line("delivered").endswith("#1 from parked to c")
        assert node.line("acked").endswith("#1 in parked")
        channel.basic_cancel(tag)
        assert node.line("cancelled").endswith("c of parked")
        channel.basic_publish("amq.topic", "nobody", b"x", mandatory=True)
        assert node.line("published").endswith("#2 to amq.topic/nobody, 1 byte, reaches no queue")
        assert node.line("returned").endswith("#2 to its publisher: 312 NO_ROUTE")
        channel.queue_delete("parked")
        assert node.line("deleted").endswith("queue parked")
    assert node.line("disconnected").endswith("(billing): the client closed it")
    code, out, err = node.stop()
    assert (code, err) == (0, "")
    assert out.endswith("simbus stopped: 2 messages published, 1 connection served\n")


def test_long_consumer_tags_that_differ_at_their_end_are_told_apart(node):
    with node.connect() as connection:
        channel = connection.channel()
        channel.queue_declare("orders")
        for number in (1, 2):
            channel.basic_consume("orders", print, consumer_tag=f"billing-of-the-bookstore-{number}")
            assert f"orders by billing-o…okstore-{number} of 127.0.0.1:" in node.line("consuming")


def test_what_is_refused_stands_in_the_log(node):
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        node.connect("intruder", credentials=pika.PlainCredentials("guest", "sesame"))
    assert node.line("refused").endswith("(intruder): user 'guest' is unknown or has another password")
    with pytest.raises(pika.exceptions.ProbableAccessDeniedError):
        node.connect("lost", virtual_host="shop")
    assert node.line("refused").endswith("(lost): 530 NOT_ALLOWED - vhost shop not found")
    with node.connect() as connection:
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            connection.channel().queue_declare("no such queue", passive=True)
        assert node.line("error").endswith("(billing))")
        assert "404 NOT_FOUND - no queue 'no such queue' in vhost '/' (channel 1 of 127.0.0.1:" in node.lines[-1]
        channel = connection.channel()
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker):
            channel.basic_qos(prefetch_size=7)
        node.line("disconnected")
        assert "(billing): 540 NOT_IMPLEMENTED - prefetch_size!=0 (7)" in node.lines[-1]


def test_a_client_that_hangs_up_without_a_word_is_lost(node):
    host, port = node.url.partition("@")[2].rstrip("/").split(":")
    socket.create_connection((host, int(port))).close()  # a look at the port is not worth a line
    client = node.connect("gone")
    client._impl._transport._sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(pika.exceptions.StreamLostError):
        client.process_data_events(10)
    assert node.line("disconnected").endswith("(gone): the client hung up without connection.close")
    assert sum("refused" in line for line in node.lines) == 0


def test_clients_are_told_that_it_stops(node):
    connection = node.connect()
    connection.channel().queue_declare("orders")
    node.process.send_signal(signal.SIGTERM)
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        connection.process_data_events(10)
    assert closed.value.reply_code == 320
    assert closed.value.reply_text == "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    out, err = node.process.communicate(timeout=20)
    assert (node.process.returncode, err) == (0, "")
    assert "disconnected    127.0.0.1:" in out


def test_a_quiet_one_tells_of_connections_and_errors_only():
    with served("--quiet") as node:
        with node.connect() as connection:
            channel = connection.channel()
            channel.queue_declare("orders")
            channel.basic_publish("", "orders", b"7")
        _, out, _ = node.stop()
        words = [line[14:].split()[0] for line in out.splitlines() if ":" in line[:5]]
        assert words == ["connected", "disconnected"]
        assert out.endswith("simbus stopped: 1 message published, 1 connection served\n")


def test_the_management_api_is_there_when_it_is_asked_for():
    with served("--management-port", "0") as node:
        said = node.process.stdout.readline()
        assert said.startswith("its management API is at http://guest:guest@127.0.0.1:")
        where = urlsplit(said.split()[-1])
        with node.connect():
            http = HTTPConnection(where.hostname, where.port, timeout=10)
            http.request("GET", f"{where.path}/connections?columns=user_provided_name", headers={"Authorization": GUEST})
            assert json.load(http.getresponse()) == [{"user_provided_name": "billing"}]
            http.close()
        assert node.stop()[0] == 0


def test_definitions_are_there_from_the_beginning(tmp_path):
    file = tmp_path / "definitions.json"
    document = {
        "vhosts": [{"name": "shop"}],
        "users": [{"name": "till", "password_hash": TEST12, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": []}],
        "permissions": [{"user": "till", "vhost": "shop", "configure": "", "write": ".*", "read": ".*"}],
        "queues": [{"name": "orders", "vhost": "shop"}],
        "bindings": [{"source": "amq.fanout", "destination": "orders", "routing_key": "", "vhost": "shop"}],
    }
    file.write_text(json.dumps(document), "utf-8")
    with served("--definitions", str(file)) as node:
        assert "at amqp://127.0.0.1:" in node.first
        assert node.url.endswith("/shop")
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            node.connect("guest", credentials=pika.PlainCredentials("guest", "guest"))
        with node.connect(credentials=pika.PlainCredentials("till", "test12")) as connection:
            channel = connection.channel()
            channel.basic_publish("amq.fanout", "", b"7")
            assert channel.basic_get("orders", auto_ack=True)[2] == b"7"
        assert "as till to vhost shop" in node.line("connected")


def test_the_address_leads_to_the_default_virtual_host_when_the_definitions_have_it(tmp_path):
    file = tmp_path / "definitions.json"
    file.write_text(json.dumps({"vhosts": [{"name": "audit"}, {"name": "/"}]}), "utf-8")
    with served("--definitions", str(file)) as node:
        assert urlsplit(node.url).path == "/"


def test_definitions_that_the_broker_refuses_are_named_by_file_and_entry(tmp_path):
    file = tmp_path / "definitions.json"
    arguments = {"x-message-ttl": -1}
    file.write_text(json.dumps({"queues": [{"name": "orders", "durable": True, "arguments": arguments}]}), "utf-8")
    code, said = complaint("--definitions", str(file))
    assert code == 2
    assert said.startswith(
        f"simbus: {file}: queues.orders: 406 PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'orders'"
    )


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert complaint("--definitions", str(tmp_path / "nowhere.json"))[0] == 2


def test_a_port_that_is_taken_is_named_with_the_remedy():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = complaint("--port", str(port))
    assert code == 2
    assert said == (
        f"simbus: cannot listen on 127.0.0.1:{port} ({os.strerror(errno.EADDRINUSE)}); choose another port, or 0 for a free one\n"
    )


def test_the_network_is_let_in_only_when_asked_and_with_a_warning():
    with served("--host", "0.0.0.0") as node:  # noqa: S104 - what is tested
        assert " at amqp://guest:guest@0.0.0.0:" in node.first
        code, _, err = node.stop()
        assert code == 0
        assert err == (
            "simbus: warning: 0.0.0.0 can be reached from the network, "
            "and whoever reaches it may log in as guest with password guest\n"
        )


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)]
)
def test_what_loopback_is(host, loopback):
    assert serving._is_loopback(host) is loopback


def test_a_reader_that_goes_away_does_not_stop_the_broker(node):
    node.process.stdout.close()
    for _ in range(2):
        with node.connect() as connection:
            connection.channel().queue_declare("orders")
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(20) == 0
    assert node.process.stderr.read() == ""


def test_a_log_in_a_file_is_not_coloured():
    with served(TERM="xterm") as node, node.connect():
        node.line("connected")
        assert not any("\x1b" in line for line in node.lines)


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_gets_colours_unless_it_does_not_want_them(monkeypatch, environment, coloured):
    class Terminal:
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert serving._in_colour(Terminal()) is coloured
