"""The way of a request through the API: the route, the method, the login, the handler, and how what that answers is shown.

RabbitMQ's order is kept: a path that there is not is 404 for everyone, a method that it has not 405, and only then a login is
asked for.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from typing import Any

from simbus.rabbitmq.management import listing
from simbus.rabbitmq.management.calls import Call
from simbus.rabbitmq.management.driver import Driver
from simbus.rabbitmq.management.http import (
    REALM,
    HttpError,
    Plain,
    Request,
    Response,
    answer,
    object_not_found,
)
from simbus.rabbitmq.management.routes import ADMINISTRATOR, MANAGEMENT, MONITORING, POLICYMAKER, Route, find

_ROOT = "api"
_READ_ONLY = {"allow": "HEAD, GET, OPTIONS"}
_ACCEPTED = ("application/json", "application/*", "*/*")
_TAGS = (MANAGEMENT, MONITORING, POLICYMAKER)  # any of these, or administrator, lets a user in
_NOT = {
    MONITORING: "Not monitor user",
    ADMINISTRATOR: "Not administrator user",
    POLICYMAKER: "User not authorised to access object",
}
_CHALLENGE = {"www-authenticate": REALM}


def respond(driver: Driver, request: Request) -> Response:
    """The answer to a request, after which everything has happened that follows from it; HEAD is answered as GET.

    What is raised is a defect; whoever serves real clients answers it with :func:`broken`, and has someone notice.
    """
    try:
        return _respond(driver, request)
    except HttpError as error:
        return error.response


def broken(defect: Exception) -> Response:
    """The answer for a client when simbus itself has failed (RabbitMQ says nothing but 500 then)."""
    return answer({"error": "internal_server_error", "reason": f"a defect of simbus: {defect!r}"}, 500)


def _respond(driver: Driver, request: Request) -> Response:
    root, *segments = request.segments
    if (root, segments) == (_ROOT, []):
        return Response(301, {"location": "/api/index.html"})
    found = find(segments, driver.broker.version.http_omits.get("paths", ())) if root == _ROOT else None
    if found is None:
        return _nowhere(request)
    route, names = found
    if request.method == "OPTIONS":
        return Response(200, {"allow": route.allow})
    method = "GET" if request.method == "HEAD" and route.head else request.method
    if method not in route.methods:
        raise Plain(405, {"allow": route.allow})
    call = Call(driver, request, "" if route.open else _authenticated(driver, request), names)
    _check(call, route, method)
    return _shown(route.methods[method](call), route, request)


def _nowhere(request: Request) -> Response:
    """RabbitMQ looks for a file of its user interface, and not even that for a name with a slash in it."""
    if request.method not in {"GET", "HEAD", "OPTIONS"}:
        raise Plain(405, _READ_ONLY)
    if any("/" in part for part in request.segments):
        raise Plain(400)
    if request.method == "OPTIONS":
        return Response(200, _READ_ONLY)
    raise object_not_found()


def _check(call: Call, route: Route, method: str) -> None:
    """Whether the user may ask this, and in this form."""
    if not route.open:
        _check_tags(call, route.wanted(method))
        _check_vhost(call, route, method)
    if method == "GET":
        _check_accept(call.request.headers)
    elif route.strict and method != "DELETE":
        _check_content_type(call.request.headers)


def _authenticated(driver: Driver, request: Request) -> str:
    """The user who asks; 401 with a challenge for one who gives no name, and without for a wrong password."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise Plain(401, _CHALLENGE)
    user, _, password = _decoded(credentials).partition(":")
    if not driver.broker.authenticate(user, password):
        reason = driver.broker.version.http_login_failed
        raise HttpError(401, "not_authorized", reason, _CHALLENGE if reason == "Login failed" else {})
    return user


def _decoded(credentials: str) -> str:
    try:
        return b64decode(credentials, validate=True).decode()
    except (NotBase64, ValueError):
        raise Plain(401, _CHALLENGE) from None


def _check_tags(call: Call, wanted: str) -> None:
    """The tag that the route asks for."""
    if not call.has_tag(*_TAGS):
        raise _refused("Not management user")
    if wanted != MANAGEMENT and not call.has_tag(wanted):
        raise _refused(_NOT[wanted])


def _check_vhost(call: Call, route: Route, method: str) -> None:
    """A virtual host that is there has to be one that the user may use; lists of it an administrator sees always."""
    vhost = call.names.get("vhost")
    lists = method == "GET" and bool(route.order) and call.has_tag()
    if vhost in call.broker.vhost_names and not (call.may_use(vhost) or lists or route.wanted(method) == ADMINISTRATOR):
        raise _refused("User not authorised to access virtual host")


def _refused(reason: str) -> HttpError:
    return HttpError(401, "not_authorised", reason)


def _check_content_type(headers: Mapping[str, str]) -> None:
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Plain(415)


def _check_accept(headers: Mapping[str, str]) -> None:
    """JSON is all that there is."""
    wanted = [part.partition(";")[0].strip() for part in headers.get("accept", "*/*").split(",")]
    if not any(kind in _ACCEPTED for kind in wanted):
        raise Plain(406)


def _shown(value: Any, route: Route, request: Request) -> Response:
    if isinstance(value, Response):
        return value
    if isinstance(value, list) and route.order and request.method != "POST":
        return answer(listing.show(value, request.query, route.order, paged=route.paged))
    return answer(listing.columns(value, request.query) if isinstance(value, dict) else value)
