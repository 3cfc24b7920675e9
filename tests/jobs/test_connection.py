"""Why a cluster cannot be reached is one sentence that names the cause."""

import pytest

from innovator_rl.errors import UserError
from innovator_rl.jobs import connection


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")


@pytest.mark.parametrize("address", ["http://10.9.8.7:8265", "https://head.example:443", "10.9.8.7:8265"])
def test_a_proxy_on_the_way_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")

    def refused() -> None:
        raise ConnectionError("Failed to connect to Ray.")

    with pytest.raises(UserError, match=r"through the proxy http://127\.0\.0\.1:9 .*_proxy is set and NO_PROXY"):
        connection.call(address, refused)
    monkeypatch.setenv("no_proxy", "10.9.8.7,head.example")
    with pytest.raises(UserError, match=r"no Ray dashboard answers there .*`ray start --head`"):
        connection.call(address, refused)


def test_a_proxy_is_named_by_the_client_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="http_proxy is set and NO_PROXY does not name 127"):
        connection.client("http://127.0.0.1:8272")


def test_a_cluster_that_requires_a_token_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.exceptions import AuthenticationError

    def refused() -> None:
        raise AuthenticationError("Missing authentication token")

    with pytest.raises(UserError) as stopped:
        connection.call("http://head:8265", refused)
    assert len(str(stopped.value).splitlines()) == 1
    assert "set RAY_AUTH_MODE=token and copy the token" in str(stopped.value)


def test_an_explicit_mode_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.load_token() is False
