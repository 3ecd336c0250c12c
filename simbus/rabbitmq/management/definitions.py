"""Definitions out and in: ``/api/definitions``, of the whole broker or of one virtual host."""

from simbus.errors import ScenarioError
from simbus.rabbitmq.exported import export_definitions
from simbus.rabbitmq.imported import import_definitions
from simbus.rabbitmq.management.calls import Call
from simbus.rabbitmq.management.http import NO_CONTENT, HttpError, Response, bad_request
from simbus.rabbitmq.management.listing import Item


def get_definitions(call: Call) -> Item:
    """What there is, as RabbitMQ exports it."""
    vhost = call.names.get("vhost")
    if vhost is not None and vhost not in call.broker.vhost_names:
        raise bad_request("vhost_not_found")
    return export_definitions(call.broker, vhost)


def post_definitions(call: Call) -> Response:
    """Take a document in; what is wrong with it is said in simbus's words, with the place."""
    vhost = call.names.get("vhost")
    if vhost is not None:
        call.check_vhost()
    try:
        document = call.body()
    except HttpError:
        raise bad_request("failed_to_parse_json") from None
    try:
        import_definitions(call.broker, document, vhost)
    except ScenarioError as error:
        raise bad_request(str(error)) from None
    return NO_CONTENT
