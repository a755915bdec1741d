"""Private copies of the real servers, on free ports, started and stopped by the tests.

The programs come as wheels among the development dependencies. Each server is a process with
a folder of its own; a test may stop, suspend, kill and restart its own copy.
"""
