import http.server
import io
import json
import threading
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pytest

from contracts.tables import ORDER_STATUS, ORDERS, RAW
from pipelines import source
from pipelines.schemas import arrow_schema
from pipelines.source import ExportRefused, Shard, Shop, ShopUnreachable

DAY, NEXT = date(2017, 1, 1), date(2017, 1, 2)


def one_status(**changes):
    row = {"day": DAY, "order_id": "o", "status": "placed", "ts": 1_483_228_800_000_000} | changes
    return pa.Table.from_pylist([row], arrow_schema(ORDER_STATUS))


def stream(table):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.fixture
def shop(monkeypatch):
    """A shop whose answers the test writes: (status, body) each, `None` to hang up in the middle of one."""
    answers, asked = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            pieces = [body[:100], body[100:]] if body is not None else [stream(one_status())[:100]]
            for piece in filter(None, pieces):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if body is not None:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True

        def log_message(self, *_):
            pass

    monkeypatch.setattr(source, "FIRST_PAUSE_S", 0.001)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = Shop(f"http://127.0.0.1:{server.server_port}", "token")
        yield made, answers, asked
        server.shutdown()


def refusal(status, message):
    return status, json.dumps({"error": {"code": "x", "message": message, "details": []}}).encode()


def test_asks_for_days_and_shard_with_the_token(shop):
    made, answers, asked = shop
    answers.append((200, stream(one_status())))
    assert made.rows(ORDER_STATUS, Shard(DAY, NEXT, 1, 3)).equals(one_status())
    [(path, token)] = asked
    assert urlsplit(path).path == "/export/order_status"
    assert parse_qs(urlsplit(path).query) == {"day": ["2017-01-01"], "until": ["2017-01-02"], "shard": ["1/3"]}
    assert token == "Bearer token"


@pytest.mark.parametrize("failure", [(503, b"starting"), (500, b""), (200, None), (200, stream(one_status())[:200])])
def test_asks_again_when_the_shop_fails(shop, failure):
    made, answers, asked = shop
    answers += [failure, failure, (200, stream(one_status()))]
    assert made.rows(ORDER_STATUS, Shard(DAY, NEXT)).num_rows == 1
    assert len(asked) == 3


def test_gives_up_after_some_attempts_and_says_with_what(shop):
    made, answers, asked = shop
    answers.append((503, b"the database is away"))
    with pytest.raises(ShopUnreachable, match="failed 5 times.*503 the database is away"):
        made.rows(ORDER_STATUS, Shard(DAY, NEXT))
    assert len(asked) == source.ATTEMPTS


def test_a_shop_that_is_not_there_is_unreachable(monkeypatch, free_port):
    monkeypatch.setattr(source, "FIRST_PAUSE_S", 0.001)
    with pytest.raises(ShopUnreachable, match="refused"):
        Shop(f"http://127.0.0.1:{free_port()}", "token").counts(ORDERS, DAY, NEXT)


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "SERVICE_TOKEN"), (404, "CORE_URL"), (409, "later, or for an earlier day"), (422, "why")],
)
def test_a_refusal_is_told_at_once_with_what_to_do(shop, status, advice):
    made, answers, asked = shop
    answers.append(refusal(status, "why not"))
    with pytest.raises(ExportRefused, match=f"{status}, why not.*|{advice}") as refused:
        made.rows(ORDER_STATUS, Shard(DAY, NEXT))
    assert advice in str(refused.value)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "other",
    [
        one_status().drop_columns(["ts"]),
        one_status().set_column(3, "ts", pa.array([0])),
        one_status()[:0].select(["ts", "day"]),
    ],
)
def test_rows_of_another_contract_are_refused(shop, other):
    made, answers, _ = shop
    answers.append((200, stream(other)))
    with pytest.raises(ExportRefused, match="different versions"):
        made.rows(ORDER_STATUS, Shard(DAY, NEXT))


# --- against the real core ---


@pytest.fixture
def real(small_shop):
    return Shop.of(small_shop.settings("unused"))


def test_the_core_counts_what_it_gives(real):
    found = set()
    for table in RAW:
        counts = real.counts(table, DAY, date(2017, 1, 9))
        days = real.rows(table, Shard(DAY, date(2017, 1, 9)))["day"].to_pylist()
        assert counts == {day: days.count(day) for day in days}, table.name
        found |= {table.name for _ in days[:1]}
    assert found >= {"orders", "order_status", "clicks", "catalog", "prices", "promotions"}
