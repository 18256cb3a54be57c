import { once } from 'node:events';
import { connect } from 'node:net';

const CHUNK_BYTES = 1 << 20;

/** Announces a body of `announcedBytes` to `POST /models`, sends `sentBytes` of it and drops the connection. */
export async function cutUpload(url: string, announcedBytes: number, sentBytes: number): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.on('error', () => {});
  const boundary = 'tritforge-bench-boundary';
  socket.write(
    `POST /models HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: multipart/form-data; boundary=${boundary}\r\n` +
      `Content-Length: ${announcedBytes}\r\n\r\n` +
      `--${boundary}\r\nContent-Disposition: form-data; name="model"; filename="model.onnx"\r\n\r\n`,
  );
  const chunk = Buffer.alloc(CHUNK_BYTES, 8);
  for (let sent = 0; sent < sentBytes; sent += CHUNK_BYTES) {
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
  socket.destroy();
}
