"""uv is told what pip's configuration says about indexes, and nothing when the user has told uv himself."""

from shelfwise.install import uv_environment

CONFIG = """\
global.cert='/certs/corporate.pem'
global.index-url='https://index.example/simple'
global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'
global.timeout='60'
:env:.find-links='/wheels'
"""


def test_pips_choice_of_index_is_handed_to_uv(tmp_path):
    assert uv_environment(CONFIG, {"PATH": "/bin"}, tmp_path) == {
        "PATH": "/bin",
        "SSL_CERT_FILE": "/certs/corporate.pem",
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels",
    }


def test_a_narrower_scope_wins(tmp_path):
    config = "global.index-url='https://a.example'\n:env:.index-url='https://b.example'\n"
    assert uv_environment(config, {}, tmp_path) == {"UV_DEFAULT_INDEX": "https://b.example"}


def test_what_the_user_told_uv_stays(tmp_path):
    environment = {"UV_INDEX_URL": "https://mine.example"}
    assert uv_environment(CONFIG, environment, tmp_path) == environment
    (tmp_path / ".config" / "uv").mkdir(parents=True)
    (tmp_path / ".config" / "uv" / "uv.toml").write_text("")
    assert uv_environment(CONFIG, {}, tmp_path) == {}
