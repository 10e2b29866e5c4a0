"""An LLM gateway for bare-metal GPU hosts, as one Twisted daemon."""

__version__ = "0.1.0"
