// Uploads small objects, one after another, with the SDK's defaults, until standard input ends.
// Writes one JSON line for each: its key, ETag and number of attempts. An error ends it.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";

const [folder, endpoint, bucket] = process.argv.slice(2);
const { S3Client, PutObjectCommand } = createRequire(folder + "/")("@aws-sdk/client-s3");
const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true });
let ended = false;
process.stdin.on("end", () => (ended = true)).resume();
for (let number = 0; !ended; number++) {
  const Body = Buffer.alloc(number % 10 ? 1000 + number : 3_000_000, number);
  const Key = `javascript/${number}`;
  const answer = await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body }));
  const etag = `"${createHash("md5").update(Body).digest("hex")}"`;
  console.log(JSON.stringify({ key: Key, etag, attempts: answer.$metadata.attempts }));
}
process.exit(0);
