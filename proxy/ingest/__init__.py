"""Failures that no response shows:

SDK envelopes and browser reports, turned into the same domain ``Failure``.
"""
