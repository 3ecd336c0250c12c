r"""The differential machine: the same program to a real RabbitMQ and to simbus, through the same client.

A program is a list of steps, see ``programs``. It is played on a world (``worlds``: a real broker, or simbus in memory), by
``play``; what was heard is compared as ``normalise`` says. Programs are written by people, as *transcripts*, or drawn.

Recording a transcript. Write a file, with steps as text or as JSON:

    tests/transcripts/queues/a-full-queue-drops-its-head.json
    {"behaviour": "a full queue drops its oldest message",
     "program": ["queue.declare queue=q arguments={\"x-max-length\": 1}",
                 "basic.publish routing_key=q body=a",
                 "basic.publish routing_key=q body=b",
                 "basic.get queue=q no_ack"]}

and have the real brokers answer, which stores the file in full and prints where simbus differs:

    export SIMBUS_ORACLE_URL_40=amqp://guest:guest@127.0.0.1:5674/ SIMBUS_ORACLE_URL_310=amqp://guest:guest@127.0.0.1:5673/
    python -m tests.differential.record tests/transcripts/queues/a-full-queue-drops-its-head.json

``tests/test_transcripts.py`` replays them all on simbus, without any broker. Keep a transcript small: one behaviour, after
every step of which nothing is left to chance.
"""
