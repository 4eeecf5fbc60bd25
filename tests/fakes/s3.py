"""A real S3 server on loopback (moto's), behind a proxy that can fail as networks do."""

import http.client
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
STALL_S = 3.0
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class FakeS3:
    """The bucket behind the proxy; `faults` says what goes wrong with the next requests of an object, by its name."""

    def __init__(self, port, client):
        self.environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        self.client = client
        self.faults = {}  # name of an object -> list of "stall", "cut" or "refuse", the first for the next request
        self.asked = Counter()  # bodies by the object's name

    def upload(self, folder, prefix="packed"):
        """Put a folder's files into the bucket; return the URL of them all."""
        for path in folder.iterdir():
            self.client.upload_file(str(path), BUCKET, f"{prefix}/{path.name}")
        return f"s3://{BUCKET}/{prefix}"

    def put(self, name, content, prefix="packed"):
        self.client.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=content)

    def delete(self, name, prefix="packed"):
        self.client.delete_object(Bucket=BUCKET, Key=f"{prefix}/{name}")


@contextmanager
def serve_s3():
    """Yield a bucket on a server that lives as long as the context."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", aws_access_key_id="test", aws_secret_access_key="test",
        region_name="us-east-1",
    )  # fmt: skip
    client.create_bucket(Bucket=BUCKET)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(host, port))
    server.s3 = FakeS3(server.server_port, client)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.s3
    finally:
        server.shutdown()
        server.server_close()
        moto.stop()


def _handler(host, port):
    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            s3, name = self.server.s3, self.path.partition("?")[0].rpartition("/")[2]
            s3.asked[name] += 1
            faults = s3.faults.get(name)
            fault = faults.pop(0) if faults else None
            if fault == "stall":
                time.sleep(STALL_S)
            upstream = http.client.HTTPConnection(host, port)
            upstream.request("GET", self.path, headers=dict(self.headers))
            answer = upstream.getresponse()
            body = answer.read()
            self.send_response(503 if fault == "refuse" else answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
            if fault == "cut":
                self.close_connection = True

        def do_HEAD(self):
            upstream = http.client.HTTPConnection(host, port)
            upstream.request("HEAD", self.path, headers=dict(self.headers))
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(key, value)
            self.end_headers()

        def log_message(self, *_):
            pass

    return Proxy
