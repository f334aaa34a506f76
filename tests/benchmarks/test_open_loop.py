"""The open loop asks on time whatever comes back, and the slow link makes answers late and nothing else."""

import socket
import threading
import time

import pytest

from benchmarks import open_loop
from benchmarks.open_loop import OpenLoop, Question
from benchmarks.slow_link import SlowLink

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def server():
    """Answers whoever connects until the end, each after a pause that can be set."""

    class Server:
        pause_s = 0.0

    def serve(connection):
        with connection:
            while connection.recv(65_536):
                time.sleep(made.pause_s)
                connection.sendall(ANSWER)

    def accept():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    made = Server()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made.port = listening.getsockname()[1]
        thread = threading.Thread(target=accept)
        thread.start()
        yield made
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def load(port, seconds, rate=50):
    with OpenLoop(port, [Question("any", "/1"), Question("any", "/2", b"{}")], rate).asking() as asked:
        time.sleep(seconds)
    return asked.answers


def test_all_are_answered_and_kept(server):
    answers = load(server.port, 1)
    assert 45 <= len(answers) <= 51
    assert {(answer.status, answer.body, answer.error) for answer in answers} == {(200, b"{}", "")}
    assert {answer.question.path for answer in answers} == {"/1", "/2"}


def test_slow_answers_do_not_hold_questions_back(server):
    server.pause_s = 0.5
    answers = sorted(load(server.port, 1), key=lambda answer: answer.due)
    assert len(answers) >= 45
    assert all(answer.sent - answer.due < 0.3 for answer in answers)
    assert all(answer.latency_s >= 0.5 for answer in answers)


def test_silence_and_refusal_are_told(server, monkeypatch, free_port):
    monkeypatch.setattr(open_loop, "LONGEST_S", 0.2)
    server.pause_s = 0.6
    assert {(answer.status, answer.error) for answer in load(server.port, 0.2)} == {(0, "TimeoutError()")}
    refused = load(free_port(), 0.2)
    assert {answer.status for answer in refused} == {0}
    assert all("Connect" in answer.error for answer in refused)


def test_an_error_of_the_client_itself_is_not_taken_for_calm(server, monkeypatch):
    monkeypatch.setattr(open_loop.Question, "wire", lambda _: int("no number"))
    with pytest.raises(ExceptionGroup):
        load(server.port, 0.2)


def test_a_slow_link_delays_what_the_server_says(server, free_port):
    with SlowLink(free_port(), behind=server.port).up() as link:
        quick = load(link.port, 0.3)
        link.delay_s = 0.2
        slow = load(link.port, 0.3)
    assert {answer.body for answer in quick + slow} == {b"{}"}
    assert min(answer.latency_s for answer in quick) < 0.1
    assert min(answer.latency_s for answer in slow) >= 0.2
