-- One row per blob that an object or a part refers to: what its bytes are verified by. A blob
-- stored before this table existed has no row until the scrubber or `mediaconvert verify` has
-- read it. The row goes when the blob's garbage entry is forgotten.
create table blobs (
  blob_id text collate "C" primary key,
  size bigint not null,
  -- CRC64NVME of each 1 MiB block, 8 bytes each, big-endian.
  digests bytea not null,
  -- When a read first found it damaged or missing; null while intact.
  damaged_at bigint
);

create index blobs_damaged on blobs (damaged_at) where damaged_at is not null;
