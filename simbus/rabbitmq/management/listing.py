"""Lists as the management API answers with them: sorted, paged, and with the columns that were asked for.

Values compare as Erlang's terms do: numbers before words (true, false, null), those before tables and lists, texts last.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simbus.rabbitmq.management.http import HttpError, bad_request
from simbus.rabbitmq.patterns import found_in

Item = dict[str, Any]

_LARGEST_PAGE = 500
_USUAL_PAGE = 100
_MISSING = object()


def show(items: Iterable[Item], query: Mapping[str, str], order: Sequence[str], *, paged: bool) -> Any:
    """The items in their order, or the page of them that the query asks for.

    Args:
        items: all that there are.
        query: of the request.
        order: the columns by which this list is sorted when nothing else is asked for.
        paged: whether this list has pages at all.
    """
    found = list(items)
    page = _page(query) if paged else None
    if page is None:
        return [columns(item, query) for item in _sorted(found, query, order)]
    chosen = _sorted(_filtered(found, query), query, order)
    number, size = page
    pages = -(-len(chosen) // size)
    if number > 1 and number > pages:
        raise HttpError(400, "page_out_of_range", f"Page out of range, page: {number} page size: {size}, len: {len(chosen)}")
    shown = [columns(item, query) for item in chosen[(number - 1) * size : number * size]]
    return {
        "filtered_count": len(chosen),
        "item_count": len(shown),
        "items": shown,
        "page": number,
        "page_count": pages,
        "page_size": size,
        "total_count": len(found),
    }


def columns(item: Item, query: Mapping[str, str]) -> Any:
    """Only the columns that were asked for; ``owner_pid_details.name`` is one inside another. Of none, Erlang makes a list."""
    wanted = [name.split(".") for name in query.get("columns", "").split(",") if name]
    return (_chosen(item, wanted) or []) if wanted else item


def _chosen(item: Item, wanted: Sequence[Sequence[str]]) -> Item:
    """A table of arguments is one value: it is shown whole."""
    shown = {}
    for key, value in item.items():
        inner = [path[1:] for path in wanted if path[0] == key]
        if inner:
            whole = key == "arguments" or not isinstance(value, dict) or [] in inner
            shown[key] = value if whole else _chosen(value, inner)
    return shown


# Order


def _sorted(items: list[Item], query: Mapping[str, str], order: Sequence[str]) -> list[Item]:
    asked = query.get("sort", "")
    by = [asked, *order] if asked else order
    reverse = query.get("sort_reverse") == "true"
    return sorted(items, key=lambda item: [_rank(_value(item, name)) for name in by], reverse=reverse)


def _value(item: Any, name: str) -> Any:
    for part in name.split("."):
        item = item.get(part, _MISSING) if isinstance(item, dict) else _MISSING
    return item


def _rank(value: Any) -> tuple[int, Any]:
    if isinstance(value, bool) or value is None:
        return 1, str(value).lower()
    if isinstance(value, int | float):
        return 0, value
    if isinstance(value, str):
        return 4, value.encode("utf-8", "surrogateescape")
    return (2, "") if isinstance(value, dict) else (3, "")


# Pages


def _page(query: Mapping[str, str]) -> tuple[int, int] | None:
    if "page" not in query:
        return None
    try:
        number, size = int(query["page"]), int(query.get("page_size", _USUAL_PAGE))
    except ValueError:
        raise bad_request("Pagination parameters are invalid") from None
    if number < 1 or not 1 <= size <= _LARGEST_PAGE:
        reason = f"Invalid pagination parameters: page number {number}, page size {size}"
        raise HttpError(400, "invalid_pagination_parameters", reason)
    return number, size


def _filtered(items: list[Item], query: Mapping[str, str]) -> list[Item]:
    """Those whose name has the text in it, in any case, or matches the regular expression."""
    wanted = query.get("name", "")
    if not wanted:
        return items
    try:
        return [item for item in items if _has(str(item.get("name", "")), wanted, by_pattern=query.get("use_regex") == "true")]
    except re.error:
        raise bad_request("Pagination parameters are invalid") from None


def _has(name: str, wanted: str, *, by_pattern: bool) -> bool:
    return found_in(f"(?i){wanted}", name) if by_pattern else wanted.lower() in name.lower()
