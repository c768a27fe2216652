"""A host made with Paramiko: USER KEY PORT SERVICE_PORT. See steps.py for what it is asked."""

import socket
import sys
import threading

import paramiko
from paramiko.common import MSG_NEWKEYS

from steps import answer, steps


def copy(read, write, end):
    while data := read(65536):
        write(data)
    end()


def carry(channel, service):
    """One visitor, half-closed on either side."""
    conn = socket.create_connection(("127.0.0.1", service))
    back = threading.Thread(target=copy, args=(conn.recv, channel.sendall, channel.shutdown_write))
    back.start()
    copy(channel.recv, conn.sendall, lambda: conn.shutdown(socket.SHUT_WR))
    back.join()
    channel.close()
    conn.close()


def main():
    user, key, port, service = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    exchanges = 0

    class Counting(paramiko.Transport):
        # Only now is it over: one that is begun after the library's own NEWKEYS, and before the bastion's, lets the library send
        # in the midst of it.
        def _over(self, message):
            nonlocal exchanges
            self._parse_newkeys(message)
            exchanges += 1

        _handler_table = paramiko.Transport._handler_table | {MSG_NEWKEYS: _over}

    transport = Counting(("127.0.0.1", port))
    # Whatever the bastion asks of the client, it is not to be waited for longer than the test waits.
    transport.banner_timeout = transport.auth_timeout = 20
    transport.start_client(timeout=20)
    load = paramiko.RSAKey if open(key + ".pub").read().startswith("ssh-rsa") else paramiko.Ed25519Key
    transport.auth_publickey(user, load.from_private_key_file(key))

    def visitor(channel, _origin, _server):
        threading.Thread(target=carry, args=(channel, service), daemon=True).start()

    answer("ready", transport.local_cipher, transport.local_mac, "anytime")
    for what, number in steps():
        if what == "forward":
            answer("forwarded", transport.request_port_forward("", number, visitor))
        elif what == "cancel":
            transport.cancel_port_forward("", number)
            answer("cancelled", number)
        elif what == "exchanges":
            answer("exchanges", exchanges)
        elif what == "rekey":
            threading.Thread(target=transport.renegotiate_keys, daemon=True).start()
            answer("rekeying")
    transport.close()


main()
