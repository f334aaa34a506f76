import socket
import threading

import pytest

from benchmarks.slow_link import SlowLink


def test_the_last_words_of_a_server_that_closes_arrive_though_late(free_port):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak():
            with server.accept()[0] as connection:
                connection.sendall(b"one ")
                connection.sendall(b"two")

        threading.Thread(target=speak).start()
        with SlowLink(free_port(), behind=server.getsockname()[1]).up() as link:
            link.delay_s = 0.3
            with socket.create_connection(("127.0.0.1", link.port), timeout=10) as client:
                client.shutdown(socket.SHUT_WR)  # nothing more will come from there
                assert b"".join(iter(lambda: client.recv(100), b"")) == b"one two"


@pytest.mark.timeout(30)
def test_a_taken_port_is_an_error_and_not_a_wait_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as other:
        link = SlowLink(other.getsockname()[1], behind=1)
        with pytest.raises(OSError, match="in use"), link.up():
            pass
    assert not [thread for thread in threading.enumerate() if thread.name == "link"]
