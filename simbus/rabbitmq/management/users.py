"""Users and what they may do: ``/api/users``, ``/api/permissions``."""

from simbus.rabbitmq.access import Permissions, User
from simbus.rabbitmq.errors import NoSuch
from simbus.rabbitmq.management.calls import Call
from simbus.rabbitmq.management.http import object_not_found
from simbus.rabbitmq.management.listing import Item


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
