"""A host made with AsyncSSH: USER KEY PORT SERVICE_PORT. See steps.py for what it is asked."""

import asyncio
import inspect
import sys
import threading
import warnings

warnings.simplefilter("ignore")  # of its libraries, about ciphers that nobody here uses

import asyncssh  # noqa: E402

from steps import answer, steps  # noqa: E402

# 2.14.2, and Debian's 2.10.1 with the same security fix, go on sending in the middle of a key exchange that they have begun,
# which RFC 4253 section 7.1 forbids (mended in 2.15.0). They exchange keys while nothing is sent.
ANYTIME = "MSG_KEX_LAST" in inspect.getsource(asyncssh.connection.SSHConnection.send_packet)
REKEY_BYTES = 4 * 1024 * 1024 if ANYTIME else 1024**3


async def main():
    user, key, port, service = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    exchanges = 0

    class Counting(asyncssh.connection.SSHClientConnection):
        def send_newkeys(self, *args, **kwargs):
            nonlocal exchanges
            exchanges += 1
            return super().send_newkeys(*args, **kwargs)

    asyncssh.connection.SSHClientConnection = Counting
    connection = await asyncssh.connect(
        "127.0.0.1", port, username=user, client_keys=[key], known_hosts=None, agent_path=None, config=None,
        rekey_bytes=REKEY_BYTES, login_timeout=20,
    )
    listeners = {}
    loop = asyncio.get_running_loop()
    asked = asyncio.Queue()

    def read():
        for step in steps():
            loop.call_soon_threadsafe(asked.put_nowait, step)
        loop.call_soon_threadsafe(asked.put_nowait, ("quit", None))

    threading.Thread(target=read, daemon=True).start()
    answer("ready", connection.get_extra_info("send_cipher"), connection.get_extra_info("send_mac"),
           "anytime" if ANYTIME else "idle")
    while True:
        what, number = await asked.get()
        if what == "forward":
            listener = await connection.forward_remote_port("", number, "127.0.0.1", service)
            listeners[listener.get_port()] = listener
            answer("forwarded", listener.get_port())
        elif what == "cancel":
            listener = listeners.pop(number)
            listener.close()
            await listener.wait_closed()
            answer("cancelled", number)
        elif what == "exchanges":
            answer("exchanges", exchanges)
        elif what == "rekey":
            if not ANYTIME:
                connection._send_kexinit()
                connection._kexinit_sent = True
            answer("rekeying")  # it does by itself, see REKEY_BYTES
        elif what == "quit":
            break
    connection.close()
    await connection.wait_closed()


asyncio.run(main())
