"""C{python -m aibrix_twisted.demo}: one simulated engine as a process of its own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from aibrix_twisted.demo.profiles import PROFILES
from aibrix_twisted.demo.speed import Speed


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """
    @param arguments: the command line; C{None}: that of this process.
    @raise SystemExit: it is wrong, which has been said.
    """
    parser = argparse.ArgumentParser(prog="python -m aibrix_twisted.demo", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8000", metavar="HOST:PORT")
    parser.add_argument("--name", default="demo")
    parser.add_argument("--model", action="append", help="repeatable; default demo-model")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="vllm")
    parser.add_argument("--prefill", type=float, default=2000.0, help="prompt tokens per second; 0: no wait")
    parser.add_argument("--decode", type=float, default=40.0, help="tokens per second of one answer; 0: no wait")
    parser.add_argument("--batch", type=int, default=16, help="requests computed at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--api-key", default="", help="asked for on /v1")
    parser.add_argument("--context", type=int, default=0, help="tokens of prompt and answer together; 0: no bound")
    parser.add_argument("--echo-request-id", action="store_true", help="answer with the request's x-request-id")
    return parser.parse_args(arguments)


def main() -> None:
    """Serve until interrupted."""
    given = parse()

    from aibrix_twisted.service.reactor import install

    install()
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    from aibrix_twisted.demo.engine import DemoEngine

    host, _, port = given.listen.rpartition(":")
    engine = DemoEngine(
        reactor,
        name=given.name,
        models=given.model or ["demo-model"],
        speed=Speed(prefill=given.prefill, decode=given.decode, batch=given.batch),
        profile=given.profile,
        seed=given.seed,
        api_key=given.api_key,
        context=given.context,
        echo_request_id=given.echo_request_id,
    )
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(engine.terminate()))
    listening = engine.listen(int(port), host or "127.0.0.1")
    print(f"{given.name} ({given.profile}) serves on {listening.getHost()}", flush=True)  # noqa: T201
    reactor.run()


if __name__ == "__main__":
    main()
