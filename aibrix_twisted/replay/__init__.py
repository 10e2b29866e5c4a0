"""Policies tried over a trace, in virtual time: the gateway's own, against a model of an engine."""
