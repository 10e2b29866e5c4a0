"""Twisted finds our reactor by this: C{twistd --reactor aibrix}."""

from twisted.application.reactors import Reactor

aibrix = Reactor("aibrix", "aibrix_twisted.service.reactor", "epoll, writes sent at once, direct reads (Linux)")
