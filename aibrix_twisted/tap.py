"""C{twistd aibrix-gateway}: its options, and the service that they make."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from aibrix_twisted.service.config.load import ConfigError, Source
from aibrix_twisted.service.process.build import version

#: A host with more cores than that has other limits first.
MAX_WORKERS: Final = 32

if TYPE_CHECKING:
    from aibrix_twisted.domain.settings import Settings
    from aibrix_twisted.service.process.predecessor import Predecessor

_log = Logger()


class Options(UsageOptions):
    """The command line.  What is given here wins over the file."""

    synopsis = "[options]"
    longdesc = "A gateway for LLM engines: OpenAI's API in front of vLLM, SGLang, TensorRT-LLM and llama.cpp."

    optParameters = [
        ["config", "c", None, "TOML file; flags override it"],
        ["admin", None, None, "admin listener, or none  [default: tcp:9090:interface=127.0.0.1]"],
        ["policy", None, None, "default routing policy  [default: least-request]"],
        ["store", None, None, "where shared state is kept  [default: memory:]"],
        ["workers", None, 1, "processes that share the listening address", int],
    ]
    optFlags = [["demo", None, "start two built-in demo engines as replicas"]]

    def __init__(self) -> None:
        _choose_reactor()
        super().__init__()
        self["listen"] = []
        self["replica"] = []

    def opt_listen(self, endpoint: str) -> None:
        """where clients connect, as a Twisted endpoint; repeatable  [default: tcp:8080]"""
        self["listen"].append(endpoint)

    def opt_replica(self, replica: str) -> None:
        """[NAME=]URL of an engine; repeatable.  Its models are asked of it"""
        name, mark, url = replica.partition("=")
        self["replica"].append({"name": name, "url": url} if mark and "/" not in name else {"url": replica})

    def opt_version(self) -> NoReturn:
        """print the version"""
        print(f"aibrix-gateway {version()}")  # noqa: T201
        sys.exit(0)

    def postOptions(self) -> None:
        """Whatever is not wanted together."""
        if not 1 <= self["workers"] <= MAX_WORKERS:
            raise UsageError(f"--workers: found {self['workers']}, expected 1 to {MAX_WORKERS}")
        if self["workers"] > 1 and self["demo"]:
            raise UsageError("--workers: found with --demo, expected one of them: each would start a pair of its own")

    def flags(self) -> dict[str, Any]:
        """What was given, as the file would say it."""
        given = {name: self[name] for name in ("admin", "policy", "store") if self[name] is not None}
        given.update({name: self[name] for name in ("listen", "replica") if self[name]})
        return given


def makeService(options: Options) -> IService:
    """The gateway.  Settings that cannot be used end the process with 2, one line each."""
    from twisted.internet import reactor

    from aibrix_twisted.demo.pair import DemoPair
    from aibrix_twisted.service.gateway import Gateway
    from aibrix_twisted.service.process.descriptors import raise_descriptor_limit
    from aibrix_twisted.service.process.heap import settle_heap
    from aibrix_twisted.service.process.inherited import take_inheritance
    from aibrix_twisted.service.process.life import Life
    from aibrix_twisted.service.process.predecessor import Predecessor, predecessor_end
    from aibrix_twisted.service.process.sockets import Sockets
    from aibrix_twisted.service.process.watchdog import Watchdog
    from aibrix_twisted.service.workers.worker import Share, Worker, post_of

    source = Source(options["config"], options.flags())
    end = predecessor_end(os.environ)
    predecessor = None if end is None else Predecessor(reactor, end)
    try:
        settings = source.load()
    except ConfigError as error:
        _give_up(error.problems, predecessor)
    post = post_of(os.environ)
    if options["workers"] > 1 and post is None:
        return _supervisor(reactor, options["workers"], settings)
    raise_descriptor_limit()
    if post is not None:
        source = Share(options["config"], options.flags(), post.workers)
        settings = source.load()
    pair = DemoPair(reactor) if options["demo"] else None
    sockets = Sockets(reactor, take_inheritance(os.environ))
    try:
        gateway = Gateway(reactor, settings, source, pair.replicas() if pair is not None else (), sockets)
    except ConfigError as error:  # a certificate has changed since
        _give_up(error.problems, predecessor)
    except ValueError as error:  # what only a process can say of its endpoints
        _give_up([str(error)], predecessor)
    if pair is not None:
        pair.setServiceParent(gateway)
    reactor.callWhenRunning(settle_heap)
    watchdog = Watchdog(reactor.seconds)
    gateway.wheel.join(watchdog)
    reactor.callWhenRunning(watchdog.start)
    reactor.addSystemEventTrigger("after", "shutdown", watchdog.stop)
    faulthandler.enable()  # SIGABRT, by which systemd ends what hangs, says where
    if post is not None:
        Worker(reactor, gateway, sockets, post).begin()
    else:
        Life(reactor, gateway, sockets, os.environ, time.monotonic_ns, predecessor).begin()
    _log.info("aibrix-gateway {version}", version=version())
    return gateway


def _supervisor(reactor: Any, workers: int, settings: Settings) -> IService:
    """Several processes behind the same addresses."""
    from aibrix_twisted.service.config.secure_endpoint import door, doors
    from aibrix_twisted.service.process.descriptors import raise_descriptor_limit
    from aibrix_twisted.service.process.herald import Herald
    from aibrix_twisted.service.process.inherited import take_inheritance
    from aibrix_twisted.service.process.notify import Notifier, manager_address, watchdog_s
    from aibrix_twisted.service.workers.sharing import SharedSockets
    from aibrix_twisted.service.workers.supervisor import Supervisor

    raise_descriptor_limit()
    notifier = Notifier.to(manager_address(os.environ))
    sockets = SharedSockets(workers, take_inheritance(os.environ), notifier)
    try:
        admin = () if settings.admin == "none" else (door(settings.admin).endpoint,)
        sockets.open([each.endpoint for each in doors(settings)], admin)
    except ValueError as error:
        _give_up([str(error)], None)
    supervisor = Supervisor(reactor, workers, sockets, os.environ)
    supervisor.begin(Herald(reactor, notifier, supervisor.status, time.monotonic_ns, watchdog_s(os.environ)))
    return supervisor


def _give_up(problems: Sequence[str], predecessor: Predecessor | None) -> NoReturn:
    """There are settings that cannot be used."""
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201
    if predecessor is not None:
        predecessor.refuse(problems)
    raise SystemExit(2) from None


def _choose_reactor() -> None:
    """The fastest one for the platform, unless one was named or is there already."""
    if sys.platform == "linux" and "twisted.internet.reactor" not in sys.modules:
        from aibrix_twisted.service.reactor import install

        install()
