"""Replicas out of the settings."""

from __future__ import annotations

from aibrix_twisted.domain.replica import Replica
from aibrix_twisted.domain.replica_url import parse_replica_url
from aibrix_twisted.domain.settings import ReplicaSettings, ReplicaTlsSettings
from aibrix_twisted.service.config.load import key_of


def replica_of(settings: ReplicaSettings) -> Replica:
    """A replica of which nothing is known but its settings."""
    url = parse_replica_url(settings.url)
    key = key_of(settings.api_key_file) if settings.api_key_file else ""
    return Replica(
        name=settings.name,
        url=settings.url,
        host=url.host,
        port=url.port,
        authority=url.authority.encode(),
        prefix=url.prefix.encode(),
        engine=settings.engine or "",
        weight=settings.weight,
        max_in_flight=settings.max_in_flight,
        models=settings.models or None,
        labels=settings.labels,
        authorization=b"Bearer " + key.encode() if key else None,
        forward_authorization=settings.forward_authorization,
        drains=settings.on_client_gone == "drain",
        force_usage=settings.force_usage,
        tls=(settings.tls or ReplicaTlsSettings()) if url.secure else None,
    )
