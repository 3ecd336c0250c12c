"""The simulation held against a real RabbitMQ: the same scenarios run by both, and the numbers compared.

    .ci/rabbitmq up 4.0                                   # prints its URL
    python -m tests.validation.run --url URL              # runs all experiments on it: measured.json
    python -m tests.validation.compare                    # simulates the same: simulated.json
    python -m tests.validation.page                       # writes docs/validation.md and its plot from both
    python -m tests.validation.gate --url URL             # a minute of it, judged at once: for .ci/run

An experiment is one scenario and what is looked at (``experiments``). What publishers and consumers of the real broker do
is read from that scenario and from its random streams, whose contract is public: the real run with index i publishes at
the very instants, and its handlers sleep for the very times, of replication i of the simulation (``parties``). What they
note is turned into simbus's metrics by definitions written down once more (``observed``), and compared with other
replications, and with replication i itself (``compare``). What time real clients lose is measured in the same runs (``costs``).
"""
