"""MediaConvert: an S3 endpoint, a job queue and media workers in one process."""

__version__ = "0.1.0"
SOURCE_URL = "https://github.com/mukund/mediaconvert"
"""Where the source is, for AGPL section 13; an operator who changed it sets server.source_url."""
