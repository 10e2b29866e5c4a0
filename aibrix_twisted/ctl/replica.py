"""One replica: added, removed, and taken in and out of use."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from aibrix_twisted.ctl.client import Answer
from aibrix_twisted.ctl.desk import Desk
from aibrix_twisted.ctl.failures import Misused, NotDrained
from aibrix_twisted.domain.replica_url import parse_replica_url

#: How often a replica is looked at while it drains.
_LOOK_S: Final = 0.5


def add(desk: Desk) -> None:
    """Add a replica; with a time to live, under a lease that is renewed by saying it again.

    @raise Misused: it needs a name, and its URL gives none.
    """
    options = desk.options
    given = {
        "url": options.url,
        "name": options.name,
        "engine": options.engine,
        "models": options.model,
        "weight": options.weight,
        "labels": dict(options.label),
    }
    body = {key: value for key, value in given.items() if value not in (None, "", {})}
    if options.ttl is None:
        answer = desk.ask("POST", "/api/replicas", body)
    else:
        name = options.name or _name_of(options.url)
        answer = desk.ask("PUT", f"{_path_of(name)}?ttl={options.ttl:.12g}", body)
    desk.screen.answer(answer.text, _said(answer.document))


def remove(desk: Desk) -> None:
    """Remove a replica that was added.  What is under way there is finished first."""
    answer = desk.ask("DELETE", _path_of(desk.options.name))
    desk.screen.answer(answer.text, _said(answer.document))


def undrain(desk: Desk) -> None:
    """Give it requests again."""
    _change(desk, "undrain")


def eject(desk: Desk) -> None:
    """Use it no more, but where nothing else is left."""
    _change(desk, "eject")


def restore(desk: Desk) -> None:
    """Take an ejection back."""
    _change(desk, "restore")


def drain(desk: Desk) -> None:
    """Give it no new requests; with a wait, come back when nothing is in flight there.

    @raise NotDrained: something still was when the wait was over, or somebody undrained it.
    """
    name = desk.options.name
    answer = _asked(desk, "drain")
    if desk.options.wait is None:
        desk.screen.answer(answer.text, _said(answer.document))
        return
    _wait(desk, name, desk.options.wait)
    desk.screen.answer(answer.text, f"{name} is drained")


def _wait(desk: Desk, name: str, wait_s: float) -> None:
    """Look until nothing is in flight there."""
    until = desk.pace.now() + wait_s
    while True:
        listed = desk.ask("GET", "/api/replicas").document.get("replicas", [])
        replica = next((each for each in listed if each["name"] == name), None)
        if replica is None or not replica["in_flight"]:
            return
        if replica["state"] == "up":
            raise NotDrained(f"somebody has undrained {name} meanwhile")
        left = until - desk.pace.now()
        if left <= 0:
            raise NotDrained(
                f"{name} still has {replica['in_flight']} in flight after {wait_s:g} s; it goes on draining"
            )
        desk.pace.pause(min(_LOOK_S, left))


def _change(desk: Desk, action: str) -> None:
    answer = _asked(desk, action)
    desk.screen.answer(answer.text, _said(answer.document))


def _asked(desk: Desk, action: str) -> Answer:
    return desk.ask("POST", f"{_path_of(desk.options.name)}/{action}")


def _path_of(name: str) -> str:
    return f"/api/replicas/{quote(name, safe='')}"


def _name_of(url: str) -> str:
    """The name that a replica has which is given none."""
    try:
        return parse_replica_url(url).authority
    except ValueError as error:
        raise Misused(f"found {url!r}, {error}") from None


def _said(replica: dict[str, Any]) -> str:
    """One line of what it is now."""
    reason = f": {replica['reason']}" if replica.get("reason") else ""
    return f"{replica['name']} is {replica['state']}{reason}; in flight: {replica['in_flight']}"
