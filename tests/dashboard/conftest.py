"""The synthetic runs, written once, and a client of the application over them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboard_runs import ADDRESS
from fastapi.testclient import TestClient

from innovator_rl.dashboard.app import create_app
from innovator_rl.dashboard.demo.write import write_demo


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the synthetic runs."""
    root = tmp_path_factory.mktemp("demo")
    write_demo(root)
    return root


@pytest.fixture(scope="session")
def client(demo_root: Path) -> Iterator[TestClient]:
    """A client of the dashboard over the synthetic runs, text and tokens read."""
    app = create_app([demo_root], demo=True)
    with TestClient(app, base_url=ADDRESS) as session:
        assert app.state.services.runs.open("demo-science").wait_read(60)
        yield session


@pytest.fixture
def new_client(tmp_path: Path) -> Iterator[TestClient]:
    """A client over an empty folder, `tmp_path / "runs"`."""
    root = tmp_path / "runs"
    root.mkdir()
    with TestClient(create_app([root]), base_url=ADDRESS) as session:
        yield session
