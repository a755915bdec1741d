"""Private copies of the real servers, on free ports, started and stopped by the tests.

The programs come as wheels among the development dependencies. Each server is a process with
a folder of its own; a test may stop, suspend, kill and restart its own copy.

MEDIACONVERT_TEST_REDIS=host:port (or a redis:// URL) runs the tests that need a well Redis on that
one, of any version from 6.2 on; each test is an installation of its own there, and keeps nothing.

MEDIACONVERT_TEST_POSTGRES=postgres://… does the same for the catalog's tests, on any PostgreSQL
from 15 on whose user may create databases; each test makes one and drops it.
"""
