"""The pytest plugin, seen by running pytest inside pytest."""

import pytest

FAILING = """
    def test_an_offer_is_taken(rabbitmq):
        rabbitmq.declare_queue("offers", message_ttl="30min", dead_letter_exchange="", dead_letter_routing_key="expired")
        rabbitmq.declare_queue("expired")
        rabbitmq.publish("", "offers", {"seat": "12A"})
        rabbitmq.advance("1h")
        assert rabbitmq.queue("offers").ready == 1
"""

UNEXPECTED = """
    def test_nothing(rabbitmq):
        rabbitmq.declare_queue("q")

        @rabbitmq.consumer("q")
        def handle(message):
            if not message.redelivered:
                raise ValueError("no such column")

        rabbitmq.publish("", "q")
"""


@pytest.fixture
def run(pytester):
    """Run a file of tests and answer the result."""

    def write_and_run(source, *options):
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)

    return write_and_run


def test_every_test_has_a_broker_of_its_own(run):
    result = run("""
        def test_one(rabbitmq):
            rabbitmq.declare_queue("q")
            rabbitmq.advance("1h")

        def test_two(rabbitmq):
            assert rabbitmq.state().splitlines()[2:] == ["queue  type  ready  unacked  consumers"]
            assert rabbitmq.now.hour == 0
    """)
    result.assert_outcomes(passed=2)


def test_the_report_of_a_failure_shows_the_broker_and_its_messages(run):
    result = run(FAILING)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*rabbitmq: the broker's state*",
            "virtual time 2000-01-01 01:00:00 UTC, +1 h since the start",
            "queue    type     ready  unacked  consumers",
            "offers   classic      0        0  –",
            "expired  classic      1        0  –",
            "*rabbitmq: the timeline of its messages*",
            'message 1 to (default exchange)/offers: {"seat": "12A"}',
            "     +0 s  published to (default exchange)/offers, routed to offers",
            "           enqueued in offers",
            "  +30 min  removed from offers: expired, dead-lettered",
            "           enqueued in expired",
        ],
        consecutive=False,
    )


def test_a_test_that_passes_shows_nothing(run):
    result = run("def test_nothing(rabbitmq): rabbitmq.publish('', 'nowhere')", "-rA")
    result.stdout.no_fnmatch_line("*timeline*")


def test_a_test_without_a_broker_fails_as_ever(run):
    result = run("def test_nothing(): assert False")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*rabbitmq*")


def test_what_a_handler_raised_unexpectedly_fails_the_test_at_its_end(run):
    result = run(UNEXPECTED)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ValueError: no such column",
            "*HandlerFailed: the handler handle of queue 'q' raised an exception that the test neither expected nor read*",
            "*If that is meant, say so with raises=ValueError, or read handle.exceptions",
            "*rabbitmq: the timeline of its messages*",
            "*handle raised ValueError: no such column",
        ]
    )


def test_a_test_that_failed_is_not_failed_again_by_its_handlers(run):
    result = run(UNEXPECTED + "        assert False")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["handle raised ValueError; the last was ValueError: no such column"])


@pytest.mark.parametrize("end", ["pytest.skip('enough')", "pytest.xfail('known')"])
def test_a_test_that_was_skipped_or_expected_to_fail_is_not_failed_by_its_handlers(run, end):
    result = run("    import pytest\n" + UNEXPECTED + f"        {end}")
    assert result.ret == 0


def test_an_outcome_of_pytest_in_a_handler_is_the_outcome_of_the_test(run):
    result = run("""
        import pytest

        @pytest.mark.parametrize("end", [pytest.skip, pytest.fail, pytest.xfail])
        def test_nothing(rabbitmq, end):
            rabbitmq.declare_queue("q")
            rabbitmq.consumer("q")(lambda message: end("enough"))
            rabbitmq.publish("", "q")
    """)
    result.assert_outcomes(skipped=1, failed=1, xfailed=1)


def test_a_failed_assertion_in_a_handler_shows_the_handlers_line_and_no_machinery(run):
    result = run("""
        def test_nothing(rabbitmq):
            rabbitmq.declare_queue("q")

            @rabbitmq.consumer("q")
            def handle(message):
                assert message.text == "hello"

            rabbitmq.publish("", "q", "goodbye")
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['>*rabbitmq.publish("", "q", "goodbye")', '>*assert message.text == "hello"', "*goodbye*"])
    result.stdout.no_fnmatch_line("*simbus*.py:*")


def test_an_event_loop_for_async_handlers_is_closed_at_the_end(run):
    result = run(
        """
        def test_nothing(rabbitmq):
            rabbitmq.declare_queue("q")

            @rabbitmq.consumer("q")
            async def handle(message):
                pass

            rabbitmq.publish("", "q")
            assert handle.attempts == 1
        """,
        "-W",
        "error",
    )
    result.assert_outcomes(passed=1)


SHARED = """
    def test_first(rabbitmq_server):
        rabbitmq_server.declare_queue("q")
        rabbitmq_server.publish("", "q", b"7")
        rabbitmq_server.reset()

    def test_second(rabbitmq_server):
        assert rabbitmq_server.published == []
        rabbitmq_server.declare_queue("q", message_ttl="1h")
"""


def test_one_broker_serves_the_whole_run(run):
    run(SHARED).assert_outcomes(passed=2)


def test_what_a_handler_raised_after_the_last_reset_is_told_at_the_end_of_the_run(run):
    result = run("""
        def test_last(rabbitmq_server):
            rabbitmq_server.declare_queue("q", type="quorum", delivery_limit=1)

            @rabbitmq_server.consumer("q")
            def charge(message):
                raise ValueError("no cover")

            rabbitmq_server.publish("", "q")
    """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*HandlerFailed: the handler charge of queue 'q' raised 2 exceptions*"])


def test_the_report_of_a_failure_shows_the_shared_broker_too(run):
    result = run(
        SHARED
        + """
    def test_third(rabbitmq_server):
        assert rabbitmq_server.queue("q").ready == 1
"""
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*rabbitmq_server: the broker's state*", "q      classic      0        0  –"])


def test_the_report_of_a_failure_shows_a_broker_of_the_projects_own(run):
    result = run("""
        import pytest
        from simbus import RabbitMQ

        @pytest.fixture
        def broker():
            with RabbitMQ(vhost="shop") as broker:
                yield broker

        @pytest.fixture
        def shop(broker):
            broker.declare_queue("orders")

        def test_third(shop):
            assert False
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*broker: the broker's state*", "orders  classic      0        0  –"])


def test_the_report_of_a_failure_shows_each_broker_once(run):
    result = run("""
        def test_it(rabbitmq, simbus_rabbitmq):
            assert False
    """)
    result.assert_outcomes(failed=1)
    assert str(result.stdout).count("the broker's state") == 1
    result.stdout.fnmatch_lines(["*- rabbitmq: the broker's state*"])


RIVAL = """
    import pytest

    @pytest.fixture
    def rabbitmq():
        return "a real one"
"""
BOTH = """
    def test_both(rabbitmq, simbus_rabbitmq):
        assert rabbitmq == "a real one"
        simbus_rabbitmq.declare_queue("q")
"""


def test_beside_pytest_rabbitmq_the_name_is_its_and_the_header_says_so(run, pytester):
    pytester.makepyfile(pytest_rabbitmq=RIVAL)
    pytester.syspathinsert()
    result = run(BOTH, "-p", "pytest_rabbitmq")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["simbus: the fixture rabbitmq is pytest-rabbitmq's, unless you set rabbitmq_fixture = simbus; *'s is simbus_rabbitmq"]
    )


def test_the_configuration_chooses_whose_the_name_is(run, pytester):
    pytester.makepyfile(pytest_rabbitmq=RIVAL)
    pytester.syspathinsert()
    pytester.makeini("[pytest]\nrabbitmq_fixture = simbus")
    source = "def test_ours(rabbitmq, simbus_rabbitmq): assert rabbitmq is simbus_rabbitmq"
    result = run(source, "-p", "pytest_rabbitmq")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["simbus: the fixture rabbitmq is simbus's, not pytest-rabbitmq's (rabbitmq_fixture = simbus)"])
    pytester.makeini("[pytest]\nrabbitmq_fixture = bunny")
    result = run(source)
    result.stderr.fnmatch_lines(["*rabbitmq_fixture = bunny: it is either simbus or pytest-rabbitmq*"])


AGREES = """
    import pytest

    def test_as_configured(rabbitmq):
        assert rabbitmq.version == {configured!r}

    @pytest.mark.rabbitmq_version({marked!r})
    def test_as_marked(rabbitmq):
        assert rabbitmq.version == {marked!r}

    def test_the_shared_one(rabbitmq_server):
        assert rabbitmq_server.version == {configured!r}
"""


@pytest.mark.parametrize(("ini", "configured", "marked"), [("", "4.0", "3.10"), ("rabbitmq_version = 3.10", "3.10", "4.0")])
def test_which_rabbitmq_it_is_says_the_configuration_or_a_marker(run, pytester, ini, configured, marked):
    pytester.makeini(f"[pytest]\n{ini}")
    run(AGREES.format(configured=configured, marked=marked), "--strict-markers").assert_outcomes(passed=3)


def test_a_version_that_simbus_is_not_is_refused_with_the_remedy(run, pytester):
    pytester.makeini("[pytest]\nrabbitmq_version = 3.1")
    result = run("def test_it(rabbitmq): pass")
    result.stderr.fnmatch_lines(
        ['*rabbitmq_version = 3.1: simbus stands in for RabbitMQ 4.0 and 3.10, not for 3.1; in TOML write it in quotes, "3.10"']
    )


@pytest.mark.parametrize(
    ("arguments", "wrong"), [("'3.13'", "not for 3.13"), ("3.1", "not for 3.1"), ("", "not for None"), ("'4.0', a=1", "alone")]
)
def test_a_marker_that_means_no_version_fails_the_test(run, arguments, wrong):
    result = run(f"""
        import pytest

        @pytest.mark.rabbitmq_version({arguments})
        def test_it(rabbitmq): pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f'*@pytest.mark.rabbitmq_version: *{wrong}*; write for example ("3.10")*'])


def test_under_xdist_every_worker_has_its_own_broker_and_leaves_nothing(pytester):
    pytester.makepyfile("""
        import socket
        import threading

        import pika
        import pytest

        @pytest.fixture
        def staying():
            clients = []
            yield clients
            for client in clients:
                client.close()

        @pytest.mark.parametrize("number", range(4))
        def test_a_client_stays(staying, rabbitmq, number):
            staying.append(socket.create_connection((rabbitmq.host, rabbitmq.port)))

        @pytest.mark.parametrize("number", range(8))
        def test_a_client_connects(rabbitmq, number):
            with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
                connection.channel().queue_declare("q")
            assert rabbitmq.queue("q") == []

        @pytest.mark.parametrize("number", range(4))
        def test_nothing_is_left(number):
            assert not [thread for thread in threading.enumerate() if "simbus" in thread.name]
    """)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "2", "-W", "error")
    result.assert_outcomes(passed=16)
