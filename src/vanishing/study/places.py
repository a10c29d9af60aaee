"""Where the config of a study is, and the profile of a machine."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import UserError, unknown


def config_path(study: str | os.PathLike) -> Path:
    """The file of a study: a name in ``workflow/config/``, or the path of a YAML file."""
    path = Path(study)
    if path.suffix in (".yaml", ".yml"):
        return path
    known = Path("workflow/config")
    names = sorted(file.stem for file in known.glob("*.yaml"))
    if not names:
        raise UserError(
            f"there is no {known} here, where {study!r} could be: start in the project's folder, "
            "or give the path of a .yaml file."
        )
    if str(study) not in names:
        raise UserError(unknown("study", str(study), names, "; or give the path of a .yaml file"))
    return known / f"{study}.yaml"


def profile_path(profile: str | os.PathLike, folder: Path) -> Path:
    """The folder of a profile: a name in ``workflow/profiles/``, or a path."""
    for path in (folder / profile, Path(profile)):
        if (path / "config.yaml").exists():
            return path
    names = [path.parent.name for path in folder.glob("*/config.yaml")]
    own = "; or give the path of a folder with a config.yaml"
    raise UserError(unknown("profile", str(profile), names, own))
