"""RabbitMQ's HTTP API, sans-IO: a request in, a response out; verbs go to the broker, as any client's do.

The way of a request: ``api`` finds its route in ``routes`` and asks whether its user may go there; a handler of the resource
looks at the model or calls its verbs and answers with data; ``listing`` sorts and pages lists. What only the driver knows,
such as the addresses of clients, comes through ``driver``. Sockets are not served here.
"""
