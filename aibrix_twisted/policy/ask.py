"""What a policy may know of a request.  No text: of the prompt there are hashes, where a policy needs them."""

from __future__ import annotations

from enum import IntEnum

from aibrix_twisted.domain.prompt import NO_PROMPT, Prompt


class Needs(IntEnum):
    """How much of a request a policy has to be told.  What none needs is not looked for."""

    NOTHING = 0
    FACTS = 1  # what its head says, and a few members of its body
    PROMPT = 2  # and the hashes of its prompt


class Ask:
    """One request.

    @ivar prompt: without hashes where these are not needed.
    @ivar stream: its first token will be seen when it comes.
    @ivar max_tokens: of the answer, where it says so.
    @ivar user: whose it is, where that is known; else empty.
    @ivar session: the replica that its C{x-session-id} names; empty where it has none that can be read.
    @ivar session_key: its C{x-aibrix-session-key}, 1 to 256 bytes; else empty.
    """

    __slots__ = ("max_tokens", "prompt", "session", "session_key", "stream", "user")

    def __init__(
        self,
        prompt: Prompt = NO_PROMPT,
        stream: bool = True,
        max_tokens: int | None = None,
        user: str = "",
        session: str = "",
        session_key: bytes = b"",
    ) -> None:
        self.prompt = prompt
        self.stream = stream
        self.max_tokens = max_tokens
        self.user = user
        self.session = session
        self.session_key = session_key


#: For policies that need nothing.
NOTHING_ASKED = Ask()
