"""A host made with libssh2, by its C functions: USER KEY PORT SERVICE_PORT. See steps.py for what it is asked.

One thread and no blocking, as programs in C do it. libssh2 has no function to begin a key exchange.
"""

import ctypes
import os
import select
import socket
import sys

from steps import answer

AGAIN = -37
OUTBOUND = 2
SIZE = 64 * 1024

ssh = ctypes.CDLL("libssh2.so.1")
for name in ("session_init_ex", "channel_forward_listen_ex", "channel_forward_accept"):
    getattr(ssh, "libssh2_" + name).restype = ctypes.c_void_p
for name in ("channel_read_ex", "channel_write_ex"):
    getattr(ssh, "libssh2_" + name).restype = ctypes.c_ssize_t
ssh.libssh2_version.restype = ssh.libssh2_session_methods.restype = ctypes.c_char_p


class Failed(Exception):
    pass


def text(session):
    said = ctypes.c_char_p()
    ssh.libssh2_session_last_error(session, ctypes.byref(said), None, 0)
    return said.value.decode()


class Visitor:
    """A channel and the connection to the service, with what is on its way between them."""

    def __init__(self, channel, service):
        self.channel = ctypes.c_void_p(channel)
        self.conn = socket.create_connection(("127.0.0.1", service))
        self.conn.setblocking(False)
        self.up = self.down = b""
        self.up_over = self.down_over = False
        self.buffer = ctypes.create_string_buffer(SIZE)

    def to_bastion(self):
        """From the service to the visitor. True: something moved."""
        if self.up_over:
            return False
        if not self.up:
            try:
                self.up = self.conn.recv(SIZE)
            except BlockingIOError:
                return False
            if not self.up:
                while ssh.libssh2_channel_send_eof(self.channel) == AGAIN:
                    pass
                self.up_over = True
                return True
        n = ssh.libssh2_channel_write_ex(self.channel, 0, self.up, ctypes.c_size_t(len(self.up)))
        if n < 0 and n != AGAIN:
            raise Failed(f"write: {n}")
        self.up = self.up[max(n, 0):]
        return n > 0

    def to_service(self):
        """From the visitor to the service. True: something moved."""
        if self.down_over:
            return False
        if not self.down:
            n = ssh.libssh2_channel_read_ex(self.channel, 0, self.buffer, ctypes.c_size_t(SIZE))
            if n < 0 and n != AGAIN:
                raise Failed(f"read: {n}")
            if n <= 0:
                if ssh.libssh2_channel_eof(self.channel) == 1:
                    self.conn.shutdown(socket.SHUT_WR)
                    self.down_over = True
                    return True
                return False
            self.down = self.buffer.raw[:n]
        try:
            n = self.conn.send(self.down)
        except BlockingIOError:
            return False
        self.down = self.down[n:]
        return True

    def over(self):
        if not (self.up_over and self.down_over):
            return False
        while ssh.libssh2_channel_free(self.channel) == AGAIN:
            pass
        self.conn.close()
        return True


class Host:
    def __init__(self, user, key, port, service):
        self.service = service
        self.socket = socket.create_connection(("127.0.0.1", port))
        ssh.libssh2_init(0)
        self.session = ctypes.c_void_p(ssh.libssh2_session_init_ex(None, None, None, None))
        self.must(ssh.libssh2_session_handshake(self.session, self.socket.fileno()))
        files = ((key + ".pub").encode(), key.encode())
        self.must(ssh.libssh2_userauth_publickey_fromfile_ex(self.session, user.encode(), len(user), *files, None))
        self.listeners = {}
        self.visitors = []

    def must(self, status):
        if status != 0:
            raise Failed(f"{status}: {text(self.session)}")

    def forward(self, port):
        bound = ctypes.c_int(0)
        ssh.libssh2_session_set_blocking(self.session, 1)
        listener = ssh.libssh2_channel_forward_listen_ex(self.session, None, port, ctypes.byref(bound), 16)
        if not listener:
            raise Failed(f"forward: {text(self.session)}")
        self.listeners[bound.value] = ctypes.c_void_p(listener)
        answer("forwarded", bound.value)

    def cancel(self, port):
        ssh.libssh2_session_set_blocking(self.session, 1)
        self.must(ssh.libssh2_channel_forward_cancel(self.listeners.pop(port)))
        answer("cancelled", port)

    def work(self):
        """All that can be done without waiting."""
        ssh.libssh2_session_set_blocking(self.session, 0)
        moved = True
        while moved:
            moved = False
            for listener in self.listeners.values():
                while channel := ssh.libssh2_channel_forward_accept(listener):
                    self.visitors.append(Visitor(channel, self.service))
                    moved = True
            for v in self.visitors:
                moved |= v.to_bastion()
                moved |= v.to_service()
            self.visitors = [v for v in self.visitors if not v.over()]

    def wait(self):
        """For whatever comes next. True: a word of the test."""
        reads = [self.socket, sys.stdin] + [v.conn for v in self.visitors if not v.up and not v.up_over]
        writes = [v.conn for v in self.visitors if v.down]
        if ssh.libssh2_session_block_directions(self.session) & OUTBOUND:
            writes.append(self.socket)
        readable, _, _ = select.select(reads, writes, [])
        return sys.stdin in readable

    def run(self):
        said = b""
        while True:
            self.work()
            if not self.wait():
                continue
            said += os.read(0, 1024)
            while b"\n" in said:
                line, said = said.split(b"\n", 1)
                words = line.split()
                if words[0] == b"quit":
                    return
                {b"forward": self.forward, b"cancel": self.cancel}[words[0]](int(words[1]))

    def goodbye(self):
        ssh.libssh2_session_set_blocking(self.session, 1)
        ssh.libssh2_session_disconnect_ex(self.session, 11, b"done", b"")
        self.socket.close()


host = Host(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
# Of the client's side: LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_MAC_CS.
methods = [ssh.libssh2_session_methods(host.session, which).decode() for which in (2, 4)]
answer("ready", *methods, "never")
host.run()
host.goodbye()
