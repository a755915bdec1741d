"""The seams: what the rooms above ask of the backends below, as Protocols.

Four of them can be exchanged by configuration (catalog, blobs, notices, analytics); the
fifth, tools, keeps the workers apart from processes. The contract of each call stands in its
docstring, and every implementation passes the same conformance suite (`tests/conformance`).
All calls may be cancelled unless they say otherwise.
"""
