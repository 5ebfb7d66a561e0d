import asyncio
import os
import socket

from proxy.app.channel import Channel, receive_first, send_first
from proxy.tasks import cancel, spawn


def test_the_first_message_carries_descriptors() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    send_first(ours, {"config": {"x": "y" * 100_000}}, [write])
    received = receive_first(theirs)
    assert received is not None
    message, fds = received
    assert message["config"]["x"] == "y" * 100_000
    os.write(fds[0], b"same pipe")
    assert os.read(read, 20) == b"same pipe"
    for fd in (read, write, *fds):
        os.close(fd)
    ours.close()
    assert receive_first(theirs) is None, "the supervisor left"
    theirs.close()


async def test_later_messages_go_both_ways_until_one_side_closes() -> None:
    left_sock, right_sock = socket.socketpair()
    left, right = await Channel.open(left_sock), await Channel.open(right_sock)
    heard: list[dict[str, object]] = []
    done = asyncio.Event()

    def hear(message: dict[str, object]) -> None:
        heard.append(message)
        done.set()

    task = spawn(right.listen(hear), name="right")
    left.send({"type": "drain"})
    await done.wait()
    assert heard == [{"type": "drain"}]
    left.close()
    await task
    right.send({"too": "late"})
    right.close()
    await cancel(task)
