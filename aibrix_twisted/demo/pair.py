"""The two simulated engines of C{--demo}."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from aibrix_twisted.demo.engine import DemoEngine
from aibrix_twisted.domain.settings import ReplicaSettings


class DemoPair(Service):
    """They listen from the start, on ports of the system's choice, on the loopback."""

    def __init__(self, reactor: Any) -> None:
        self._engines = [DemoEngine(reactor, name=f"demo{number}", seed=number) for number in range(2)]
        self._ports = [engine.listen() for engine in self._engines]

    def replicas(self) -> tuple[ReplicaSettings, ...]:
        """How the gateway reaches them."""
        return tuple(
            ReplicaSettings(name=engine.name, url=f"http://127.0.0.1:{port.getHost().port}")  # type: ignore[attr-defined]
            for engine, port in zip(self._engines, self._ports, strict=True)
        )

    def stopService(self) -> Deferred[None]:
        """They end with the gateway."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for engine in self._engines:
            await engine.stop()
