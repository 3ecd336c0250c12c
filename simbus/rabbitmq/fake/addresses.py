"""Where a broker is, in the forms in which clients and services want to be told."""

from urllib.parse import quote

GUEST = ("guest", "guest")  # RabbitMQ's own default user and password, which everybody knows
VHOST = "/"


def url(scheme: str, host: str, port: int, vhost: str, login: tuple[str, str] | None) -> str:
    """``amqp://guest:guest@127.0.0.1:40123/``: the default virtual host stands for itself; no login is no one's."""
    return f"{scheme}://{_who(login)}{host}:{port}/{'' if vhost == VHOST else quote(vhost, safe='')}"


def web_url(host: str, port: int, login: tuple[str, str] | None) -> str:
    """``http://guest:guest@127.0.0.1:40124``, without a slash at its end: clients add ``/api``; no login is no one's."""
    return f"http://{_who(login)}{host}:{port}"


def _who(login: tuple[str, str] | None) -> str:
    return "" if login is None else f"{':'.join(quote(part, safe='') for part in login)}@"


def variables(host: str, port: int, vhost: str, login: tuple[str, str]) -> dict[str, str]:
    """Environment variables under the names that libraries, frameworks and hosting platforms use."""
    whole = dict.fromkeys(
        ("RABBITMQ_URL", "RABBITMQ_URI", "AMQP_URL", "BROKER_URL", "CELERY_BROKER_URL", "CLOUDAMQP_URL"),
        url("amqp", host, port, vhost, login),
    )
    user, password = login
    parts = {
        "RABBITMQ_HOST": host,
        "RABBITMQ_PORT": str(port),
        "RABBITMQ_VHOST": vhost,
        **dict.fromkeys(("RABBITMQ_USER", "RABBITMQ_USERNAME"), user),
        **dict.fromkeys(("RABBITMQ_PASSWORD", "RABBITMQ_PASS"), password),
    }
    return whole | parts
