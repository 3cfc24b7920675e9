"""Names for the folders of a machine in what is kept of a path."""

import json
from pathlib import Path

from innovator_rl.paper.places import Places


def test_names_of_folders_replace_whole_paths_only():
    places = Places(Path("/srv/project/runs"), here=Path("/srv/project"))
    text = (
        "a=/srv/project/runs/x b=[/srv/project/runs, /srv/project/y] c=/srv/projects /srv/project-2 /other/srv/project"
    )
    short = places.short(text)
    assert short == "a={runs}/x b=[{runs}, {here}/y] c=/srv/projects /srv/project-2 /other/srv/project"
    assert places.long(short) == text
    assert Places(Path("/"), here=Path("/")).short("/a/b") == "/a/b"


def test_a_folder_behind_a_link_and_in_json_has_its_name_too(tmp_path):
    (tmp_path / "disk é").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk é")
    places = Places(tmp_path / "link", here=tmp_path / "here")
    for written in (tmp_path / "link", tmp_path / "disk é"):
        assert places.short(json.dumps([f"{written}/x"])) == '["{runs}/x"]'
        assert places.short(f"{written}/x") == "{runs}/x"
    assert places.long("{runs}/x") == f"{tmp_path}/link/x"
    assert places.short(str(Path.home() / "models")) == "{home}/models"
