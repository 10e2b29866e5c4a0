"""A simulated engine: OpenAI's API, a settable speed, and every way to misbehave that real engines were seen to have.

It is what C{--demo} starts, and what the tests have for replicas.
"""
