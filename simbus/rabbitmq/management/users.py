"""Users, their limits and what they may do: ``/api/users``, ``/api/permissions``, ``/api/topic-permissions``."""

import re
from typing import Any

from simbus.rabbitmq.access import PasswordHash, Permissions, User
from simbus.rabbitmq.errors import NoSuch, ValidationFailed
from simbus.rabbitmq.management.calls import Call
from simbus.rabbitmq.management.http import CREATED, NO_CONTENT, Response, bad_request, object_not_found
from simbus.rabbitmq.management.listing import Item
from simbus.rabbitmq.management.vhosts import tags
from simbus.rabbitmq.patterns import compiled

_ALGORITHM = "rabbit_password_hashing_sha256"


def list_users(call: Call) -> list[Item]:
    """All users."""
    return [_show(user) for user in call.broker.users]


def list_without_permissions(call: Call) -> list[Item]:
    """Those who may use no virtual host."""
    able = {permissions.user for permissions in _granted(call)}
    return [_show(user) for user in call.broker.users if user.name not in able]


def get_user(call: Call) -> Item:
    """One user."""
    return _show(user_of(call))


def put_user(call: Call) -> Response:
    """Add a user, with a password or its hash, or change it; tags have to be given."""
    body, name = call.body(), call.names["user"]
    if "tags" not in body:
        raise bad_request("tags_not_present")
    is_new = name not in {user.name for user in call.broker.users}
    call.broker.add_user(name, _password(body), tags(body["tags"]))
    return CREATED if is_new else NO_CONTENT


def _password(body: Item) -> str | PasswordHash:
    """Without either, or with an empty one, nobody can log in."""
    if "password" in body and "password_hash" in body:
        raise bad_request("both_password_and_password_hash_are_provided")
    text = body.get("password_hash", "")
    if not text:
        return str(body.get("password", ""))
    try:
        return PasswordHash.read(str(text), str(body.get("hashing_algorithm", _ALGORITHM)))
    except ValueError:
        raise bad_request(["not_base64", text]) from None


def delete_user(call: Call) -> Response:
    """Delete a user; its clients are told."""
    _delete(call, user_of(call).name)
    return NO_CONTENT


def delete_users(call: Call) -> Response:
    """Delete several, one after the other; unknown ones are passed over, or end it, by version."""
    for name in call.body("users")["users"]:
        if name in {user.name for user in call.broker.users}:
            _delete(call, name)
        elif call.version.http_bulk_delete_knows_all:
            raise bad_request(["no_such_user", name])
    return NO_CONTENT


def _delete(call: Call, name: str) -> None:
    call.driver.force_close(call.broker.delete_user(name), f"user '{name}' is deleted")


# Limits


def list_limits(call: Call) -> list[Item]:
    """The limits of all users who have any, or of one."""
    users = [user_of(call)] if "user" in call.names else call.broker.users
    return [{"user": user.name, "value": dict(user.limits)} for user in users if user.limits]


def put_limit(call: Call) -> Response:
    """Set one limit."""
    value, name = call.body("value")["value"], call.names["user"]
    try:
        call.broker.set_user_limits(name, {**call.broker.user(name).limits, call.names["limit"]: value})
    except NoSuch:
        raise bad_request(["no_such_user", name]) from None
    except ValidationFailed as error:
        raise bad_request(error.reason) from None
    return NO_CONTENT


def delete_limit(call: Call) -> Response:
    """Lift one limit; one that there is not is no error."""
    user = user_of(call)
    call.broker.set_user_limits(user.name, {name: v for name, v in user.limits.items() if name != call.names["limit"]})
    return NO_CONTENT


# Permissions


def permissions_of_user(call: Call) -> list[Item]:
    """What a user may do, vhost by vhost."""
    user = user_of(call).name
    return [_permission(granted) for granted in _granted(call) if granted.user == user]


def permissions_in_vhost(call: Call) -> list[Item]:
    """What users may do in a vhost."""
    vhost = call.vhost.name
    return [_permission(granted) for granted in _granted(call) if granted.vhost == vhost]


def list_permissions(call: Call) -> list[Item]:
    """All of that."""
    return [_permission(granted) for granted in _granted(call)]


def get_permission(call: Call) -> Item:
    """What one user may do in one vhost."""
    user, vhost = user_of(call).name, call.vhost.name
    found = [granted for granted in _granted(call) if (granted.user, granted.vhost) == (user, vhost)]
    if not found:
        raise object_not_found()
    return _permission(found[0])


def put_permission(call: Call) -> Response:
    """Grant, or change what is granted."""
    patterns = _patterns(call.body("configure", "write", "read"), "configure", "write", "read")
    user, vhost = _grantee(call)
    is_new = not any((granted.user, granted.vhost) == (user, vhost) for granted in _granted(call))
    call.broker.set_permissions(user, vhost, *patterns)
    return CREATED if is_new else NO_CONTENT


def delete_permission(call: Call) -> Response:
    """Withdraw what is granted."""
    granted = get_permission(call)
    call.broker.delete_permissions(granted["user"], granted["vhost"])
    return NO_CONTENT


def _grantee(call: Call) -> tuple[str, str]:
    """User and virtual host, both of which have to be there."""
    user, vhost = call.names["user"], call.names["vhost"]
    if vhost not in call.broker.vhost_names or user not in {known.name for known in call.broker.users}:
        raise bad_request("vhost_or_user_not_found")
    return user, vhost


def _patterns(body: Item, *names: str) -> list[str]:
    for name in names:
        try:
            compiled(str(body[name]))
        except re.error as error:
            raise bad_request(["invalid_regexp", body[name], str(error)]) from None
    return [str(body[name]) for name in names]


# Topic permissions


def list_topics(call: Call) -> list[Item]:
    """All of them."""
    return [item for permissions in call.broker.permissions for item in _topics(permissions)]


def get_topics(call: Call) -> Any:
    """Those of a user in a virtual host, whatever exchange the path names; 404 when there are none."""
    user, vhost = user_of(call).name, call.vhost.name
    found = [item for item in list_topics(call) if (item["user"], item["vhost"]) == (user, vhost)]
    if not found:
        raise object_not_found()
    return found


def put_topic(call: Call) -> Response:
    """Limit a user's routing keys at an exchange."""
    body = call.body("exchange", "write", "read")
    write, read = _patterns(body, "write", "read")
    user, vhost = _grantee(call)
    is_new = not any((item["user"], item["vhost"]) == (user, vhost) for item in list_topics(call))
    call.broker.set_topic_permissions(user, vhost, str(body["exchange"]), write, read)
    return CREATED if is_new else NO_CONTENT


def delete_topics(call: Call) -> Response:
    """Limit them no longer, at any exchange or at the one in the path."""
    get_topics(call)
    call.broker.delete_topic_permissions(call.names["user"], call.names["vhost"], call.names.get("exchange"))
    return NO_CONTENT


def topics_of_user(call: Call) -> list[Item]:
    """The topic permissions of a user."""
    user = user_of(call).name
    return [item for permissions in call.broker.permissions if permissions.user == user for item in _topics(permissions)]


def topics_in_vhost(call: Call) -> list[Item]:
    """Those of all users in a vhost."""
    vhost = call.vhost.name
    return [item for permissions in call.broker.permissions if permissions.vhost == vhost for item in _topics(permissions)]


def user_of(call: Call) -> User:
    """The user in the path; 404 when there is none."""
    try:
        return call.broker.user(call.names["user"])
    except NoSuch:
        raise object_not_found() from None


def _granted(call: Call) -> list[Permissions]:
    return [permissions for permissions in call.broker.permissions if permissions.granted]


def _show(user: User) -> Item:
    text, algorithm = user.hash.written()
    return {
        "hashing_algorithm": algorithm,
        "limits": dict(user.limits),
        "name": user.name,
        "password_hash": text,
        "tags": list(user.tags),
    }


def _permission(granted: Permissions) -> Item:
    return {
        "configure": granted.configure,
        "read": granted.read,
        "user": granted.user,
        "vhost": granted.vhost,
        "write": granted.write,
    }


def _topics(permissions: Permissions) -> list[Item]:
    names = {"user": permissions.user, "vhost": permissions.vhost}
    return [{**names, "exchange": name, "read": topic.read, "write": topic.write} for name, topic in permissions.topics.items()]
