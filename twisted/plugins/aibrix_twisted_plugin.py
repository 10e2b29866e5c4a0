"""Twisted finds C{twistd aibrix-gateway} by this."""

from twisted.application.service import ServiceMaker

aibrix_gateway = ServiceMaker(
    "AIBrix gateway", "aibrix_twisted.tap", "A gateway for LLM engines on bare-metal GPU hosts.", "aibrix-gateway"
)
