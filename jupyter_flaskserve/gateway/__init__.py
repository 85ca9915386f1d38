"""Tornado ⇄ FastCGI: takes an HTTP request to a responder and its answer back.

Imports nothing of Jupyter. It is given a pool of links, the app's prefix and the headers to pass
on; who may come in, at which address, and what errors look like is decided by its caller.
"""
