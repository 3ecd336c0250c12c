"""Where a broker is, in the forms in which clients and services want to be told."""

from urllib.parse import quote

USER = PASSWORD = "guest"  # noqa: S105 - RabbitMQ's own default, which everybody knows
VHOST = "/"


def url(scheme: str, host: str, port: int, vhost: str = VHOST, *, as_guest: bool = True) -> str:
    """``amqp://guest:guest@127.0.0.1:40123/``: the default virtual host stands for itself."""
    login = f"{USER}:{PASSWORD}@" if as_guest else ""
    return f"{scheme}://{login}{host}:{port}/{'' if vhost == VHOST else quote(vhost, safe='')}"


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
