"""Bytes to facts and back.  Pure: no Twisted, no clock, no randomness, no I/O.

Every parser takes bytes cut anywhere and gives the same facts; has C{feed} and C{finish}; keeps its own remainder;
and refuses more than its cap.
"""
