"""Every setting: its default, its unit, its bounds and its help. Nothing is read here.

`config.py` fills these from file, `.env`, environment and flags; `mediaconvert config show`
and the documentation print them. One frozen class a section; a setting's environment name is
`MEDIACONVERT_<SECTION>__<KEY>` (and `alias`, the original program's name, where it has one).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
    alias: str = "",
) -> Any:
    """A dataclass field that carries its own documentation."""
    metadata = {
        "help": help,
        "unit": unit,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "secret": secret,
        "alias": alias,
    }
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    host: str = setting("127.0.0.1", "Address to listen on; 0.0.0.0 for all of IPv4.")
    port: int = setting(
        8080, "TCP port; 0 takes a free one.", minimum=0, maximum=65535, alias="PORT"
    )
    data_dir: Path = setting(
        Path("data"),
        "Folder of the embedded catalog, blobs, secrets and workspaces.",
        alias="MEDIACONVERT_DATA_DIR",
    )
    role: str = setting("all", "What this process does.", choices=("all", "api", "worker"))
    max_connections: int = setting(1000, "Open connections at once.", minimum=1)
    max_uploads: int = setting(64, "Request bodies being received at once.", minimum=1)
    max_header_bytes: int = setting(16_384, "Request line and headers.", unit="bytes", minimum=4096)
    min_rate_bytes: int = setting(
        1024, "A client slower than this is cut.", unit="bytes/s", minimum=0
    )
    rate_grace_seconds: float = setting(
        30.0, "How long a client may be slower.", unit="seconds", minimum=1
    )
    idle_seconds: float = setting(
        60.0, "An idle connection is closed after this.", unit="seconds", minimum=1
    )
    drain_requests_seconds: float = setting(
        10.0, "After SIGTERM, time for requests under way.", unit="seconds", minimum=0, maximum=20
    )
    drain_jobs_seconds: float = setting(
        20.0, "After SIGTERM, time for running jobs.", unit="seconds", minimum=0, maximum=20
    )
    metrics_token: str = setting(
        "", "Bearer token that opens /metrics; empty keeps it shut.", secret=True
    )
    metrics_listen: str = setting(
        "", "host:port of a second listener that serves only /health, /ready and /metrics."
    )
    source_url: str = setting(
        "", "Where users get this program's source (AGPL section 13), if you changed it."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    url: str = setting(
        "", "PostgreSQL URI; empty uses the embedded SQLite.", secret=True, alias="DATABASE_URL"
    )
    pool_size: int = setting(
        10, "Connections of one process to PostgreSQL.", minimum=2, maximum=500
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    url: str = setting(
        "",
        "Redis for notices, host:port or a redis:// URL; empty uses in-process notices.",
        secret=True,
        alias="REDIS_URL",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    directory: Path | None = setting(None, "Folder of the blobs; default <data_dir>/blobs.")
    s3_endpoint: str = setting(
        "",
        "S3 store for the blobs, an http:// or https:// URL or host:port; empty uses the folder.",
        alias="S3_ENDPOINT",
    )
    s3_access_key: str = setting("", "Access key of that store.", alias="S3_ACCESS_KEY")
    s3_secret_key: str = setting(
        "", "Secret key of that store.", secret=True, alias="S3_SECRET_KEY"
    )
    s3_bucket: str = setting("media", "Bucket of that store.", alias="S3_BUCKET")
    s3_region: str = setting("us-east-1", "Region of that store.", alias="S3_REGION")
    s3_prefix: str = setting("", "What our keys in that bucket begin with, for a shared bucket.")
    s3_addressing: str = setting(
        "auto",
        "Where the bucket's name goes: path, or virtual for the host name; auto knows AWS.",
        choices=("auto", "path", "virtual"),
    )
    s3_ca_file: Path | None = setting(
        None, "PEM file of the authority behind its certificate; default the well-known ones."
    )
    s3_part_bytes: int = setting(
        8 << 20,
        "Blobs above this size are stored in parts of it, of which an upload holds up to four in "
        "memory; of many uploads at once the parts are smaller.",
        unit="bytes",
        minimum=5 << 20,
        maximum=5 << 30,
    )
    garbage_minutes: float = setting(
        60.0,
        "How long deleted bytes stay for readers on other machines (embedded: no time at all).",
        unit="minutes",
        # Longer than any transaction that may just be adding a reference to them.
        minimum=1,
    )
    min_free_bytes: int = setting(
        64 << 20, "Below this much free space uploads are refused.", unit="bytes", minimum=0
    )
    orphan_hours: float = setting(
        24.0,
        "Blobs that the catalog does not know are noted at this age, and deleted as long again "
        "later.",
        unit="hours",
        minimum=0.01,
    )
    scrub_mib_per_second: float = setting(
        20.0,
        "Speed at which stored blobs are read in the background and compared with their digests; "
        "0 switches it off.",
        unit="MiB/s",
        minimum=0,
    )
    scrub_days: float = setting(30.0, "How often all blobs are read so.", unit="days", minimum=0.01)
    upload_expiry_days: float = setting(
        7.0, "Unfinished multipart uploads are aborted at this age.", unit="days", minimum=0.01
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    region: str = setting("us-east-1", "Region that this service says it is in.")
    any_region: bool = setting(
        True, "Accept signatures for any region; false wants exactly s3.region."
    )
    domain: str = setting("", "Base domain of virtual-host style requests; empty: path style.")
    sigv2_presign: bool = setting(True, "Accept presigned URLs in SigV2's form.")
    sigv2: bool = setting(False, "Accept SigV2 Authorization headers.")
    max_buckets: int = setting(1000, "Buckets of one user.", minimum=1)
    max_put_bytes: int = setting(
        5 << 30, "Largest single PUT or part.", unit="bytes", minimum=1, maximum=5 << 30
    )
    min_part_bytes: int = setting(
        5 << 20, "Smallest part of a multipart upload, but for the last.", unit="bytes", minimum=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    jwt_secret: str = setting(
        "", "Key of the JWTs; generated where empty.", secret=True, alias="JWT_SECRET"
    )
    jwt_secret_file: Path | None = setting(None, "File that holds it.")
    master_key: str = setting(
        "",
        "Base64 of the 32 bytes that encrypt S3 secrets; generated where empty.",
        secret=True,
        alias="MEDIACONVERT_MASTER_KEY",
    )
    master_key_file: Path | None = setting(None, "File that holds it.")
    token_hours: float = setting(24.0, "How long a JWT is valid.", unit="hours", minimum=0.01)
    registration: bool = setting(True, "Whether anybody may register.")
    password_min_length: int = setting(
        6, "Shortest password.", unit="characters", minimum=1, maximum=128
    )
    max_credentials: int = setting(5, "Active S3 credentials of one user.", minimum=1)
    login_failures: int = setting(
        10, "Failed logins of one account from one address before it waits.", minimum=1
    )
    login_window_seconds: int = setting(
        900, "How long those are remembered.", unit="seconds", minimum=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    slots: int = setting(0, "Jobs at once; 0 takes the number of cores.", minimum=0, maximum=256)
    lease_seconds: float = setting(
        15.0, "How long a claimed job belongs to a worker.", unit="seconds", minimum=1
    )
    renew_seconds: float = setting(
        5.0, "How often leases are renewed.", unit="seconds", minimum=0.1
    )
    poll_seconds: float = setting(
        1.0, "How often to look for jobs when no notice came.", unit="seconds", minimum=0.05
    )
    max_attempts: int = setting(10, "Attempts at a job that fails for infrastructure.", minimum=1)
    retry_base_seconds: float = setting(
        5.0, "First wait before such a retry; doubles each time.", unit="seconds", minimum=0.01
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSettings:
    ffmpeg: str = setting("", "Path of ffmpeg; empty uses the one that comes along.")
    ffprobe: str = setting("", "Path of ffprobe; empty uses the one that comes along.")
    bwrap: str = setting("", "Path of bubblewrap; empty uses the one that comes along.")
    sandbox: str = setting(
        "auto",
        "required refuses to start without one, auto warns, off runs without.",
        choices=("required", "auto", "off"),
    )
    wall_seconds: float = setting(7200.0, "Longest run of one command.", unit="seconds", minimum=1)
    stall_seconds: float = setting(
        60.0, "A tool without progress for this long is killed.", unit="seconds", minimum=1
    )
    memory_bytes: int = setting(
        4 << 30, "Address space of one child.", unit="bytes", minimum=256 << 20
    )
    output_bytes: int = setting(
        32 << 30, "Largest output of one step.", unit="bytes", minimum=1 << 20
    )
    max_pixels: int = setting(
        268_435_456, "Largest picture or frame.", unit="pixels", minimum=1_000_000
    )
    max_pages: int = setting(10_000, "Most pages of a document.", minimum=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyticsSettings:
    clickhouse_dsn: str = setting(
        "",
        "ClickHouse's HTTP interface, host:port or an http:// URL; empty uses the catalog's kind "
        "of database.",
        secret=True,
        alias="CLICKHOUSE_DSN",
    )
    flush_seconds: float = setting(
        0.5, "How often waiting events are sent.", unit="seconds", minimum=0.05
    )
    max_waiting_events: int = setting(
        1_000_000, "Events kept while the store is away; beyond, the oldest are dropped.", minimum=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    format: str = setting(
        "auto", "auto is text on a terminal and JSON elsewhere.", choices=("auto", "text", "json")
    )
    level: str = setting(
        "info", "Least important level shown.", choices=("debug", "info", "warning", "error")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, one attribute a section."""

    server: ServerSettings = field(default_factory=ServerSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    s3: S3Settings = field(default_factory=S3Settings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    workers: WorkerSettings = field(default_factory=WorkerSettings)
    tools: ToolSettings = field(default_factory=ToolSettings)
    analytics: AnalyticsSettings = field(default_factory=AnalyticsSettings)
    logging: LogSettings = field(default_factory=LogSettings)
