"""AWS Signature Version 4 for S3, sans-I/O: no clock, no key store; the caller brings both.

`claims` reads what a request says, `checks` tells whether it holds, `canonical` has the form
that is signed, `chunks` follows the chain of a streamed body, `client` signs requests of our own.
"""
