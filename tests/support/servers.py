"""Real servers for the tests and the demo: SeaweedFS as an S3 store, on loopback only.

`python -m tests.support.servers FOLDER` runs one until interrupted and prints the variables to export;
`python -m tests.support.servers FOLDER -- COMMAND` runs it for as long as the command does. Both have a
bucket `finetune-demo`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ADMIN = ("admin", "admin-secret")
BUCKET = "finetune-demo"
READER = ("reader", "reader-secret")

_GRPC = 10_000  # each of the server's gRPC ports lies this much above its HTTP port


@dataclass
class Server:
    """A SeaweedFS server: its data below `folder`, its ports in the order master to S3."""

    folder: Path
    ports: tuple[int, int, int, int]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The S3 endpoint."""
        return f"http://127.0.0.1:{self.ports[3]}"

    @property
    def env(self) -> dict[str, str]:
        """The SDK's variables for the identity that may do everything."""
        return self._env(ADMIN)

    @property
    def reader_env(self) -> dict[str, str]:
        """The SDK's variables for the identity that may only read and list."""
        return self._env(READER)

    def client(self) -> Any:
        """A boto3 client that may do everything."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ADMIN[0],
            aws_secret_access_key=ADMIN[1],
            region_name="us-east-1",
            config=Config(connect_timeout=1, read_timeout=10, retries={"total_max_attempts": 1}),
        )

    def create_bucket(self, name: str) -> str:
        """Make a bucket, unless it is there, and return its URI."""
        client = self.client()
        if name not in (bucket["Name"] for bucket in client.list_buckets()["Buckets"]):
            client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def start(self) -> None:
        """Start the server, on the data it had, and wait until it stores an object."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "s3.json").write_text(json.dumps(_identities()))
        # one volume for each new bucket in place of seven: buckets are many here, and small
        env = {**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log, env=env)
        try:
            self._wait(time.monotonic() + 60)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server as a crash would: what it has acknowledged is on the disk."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        for port in self.ports:
            for number in (port, port + _GRPC):
                for path in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                    path.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        master, volume, filer, s3 = self.ports
        return [
            str(Path(sys.executable).with_name("weed")),
            "server",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=1024",
            f"-volume.port={volume}",
            "-volume.max=200",
            f"-filer.port={filer}",
            "-s3",
            f"-s3.port={s3}",
            f"-s3.config={self.folder / 's3.json'}",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]

    def _wait(self, deadline: float) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        while True:
            try:
                self.create_bucket("ready")
                self.client().put_object(Bucket="ready", Key="ready", Body=b"")
                return
            except (BotoCoreError, ClientError) as error:
                exited = self.process is None or self.process.poll() is not None
                if exited or time.monotonic() > deadline:
                    raise RuntimeError(f"weed did not start; see {self.folder / 'log'}") from error
                time.sleep(0.1)

    def _env(self, identity: tuple[str, str]) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": identity[0],
            "AWS_SECRET_ACCESS_KEY": identity[1],
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def seaweedfs(folder: Path) -> Iterator[Server]:
    """A running server with its data, log and identities below `folder`; stopped at the end."""
    server = Server(folder, _free_ports())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _free_ports() -> tuple[int, int, int, int]:
    found: list[int] = []
    # below where the system picks ports for outgoing connections, and room for gRPC above; far from
    # those of the neighbouring process, which may be looking at the same time
    for port in range(11_000 + os.getpid() * 41 % 9_000, 22_000):
        if _is_free(port) and _is_free(port + _GRPC):
            found.append(port)
        if len(found) == 4:
            return found[0], found[1], found[2], found[3]
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _identities() -> dict[str, Any]:
    def identity(who: tuple[str, str], actions: list[str]) -> dict[str, Any]:
        keys = {"accessKey": who[0], "secretKey": who[1]}
        return {"name": who[0], "credentials": [keys], "actions": actions}

    return {
        "identities": [
            identity(ADMIN, ["Admin", "Read", "Write", "List", "Tagging"]),
            identity(READER, ["Read", "List"]),
        ]
    }


def main() -> None:
    """Run a server below the folder given: around a command, or until interrupted."""
    folder, *command = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with seaweedfs(Path(folder).resolve()) as server:
        server.create_bucket(BUCKET)
        if command[:1] == ["--"]:
            done = subprocess.run(command[1:], env={**os.environ, **server.env}, check=False)
            sys.exit(done.returncode)
        for name, value in server.env.items():
            print(f"export {name}={value}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
