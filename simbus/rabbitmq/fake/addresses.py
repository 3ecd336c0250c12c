"""Where a broker is, in the forms in which clients and services want to be told."""

USER = PASSWORD = "guest"  # noqa: S105 - RabbitMQ's own default, which everybody knows
VHOST = "/"


def url(scheme: str, host: str, port: int) -> str:
    """``amqp://guest:guest@127.0.0.1:40123/``: the default virtual host."""
    return f"{scheme}://{USER}:{PASSWORD}@{host}:{port}/"


def variables(host: str, port: int) -> dict[str, str]:
    """Environment variables under the names that libraries, frameworks and hosting platforms use."""
    whole = dict.fromkeys(
        ("RABBITMQ_URL", "RABBITMQ_URI", "AMQP_URL", "BROKER_URL", "CELERY_BROKER_URL", "CLOUDAMQP_URL"), url("amqp", host, port)
    )
    parts = {
        "RABBITMQ_HOST": host,
        "RABBITMQ_PORT": str(port),
        "RABBITMQ_VHOST": VHOST,
        **dict.fromkeys(("RABBITMQ_USER", "RABBITMQ_USERNAME"), USER),
        **dict.fromkeys(("RABBITMQ_PASSWORD", "RABBITMQ_PASS"), PASSWORD),
    }
    return whole | parts
