"""Where the project lives, for the wheel: hatchling asks for it when it builds one.

The address is not in `pyproject.toml` because a fork has another one: `make release-check PROJECT_URL=https://...`.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

VARIABLE = "CALLVIZ_PROJECT_URL"


class ProjectUrls(MetadataHookInterface):
    """Adds `[project.urls]` where the address of the repository is known."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the addresses of the repository, its documentation, changelog and issues."""
        url = os.environ.get(VARIABLE, "").rstrip("/")
        metadata["urls"] = (
            {
                "Repository": url,
                "Documentation": f"{url}/tree/main/docs",
                "Changelog": f"{url}/blob/main/CHANGELOG.md",
                "Issues": f"{url}/issues",
            }
            if url
            else {}
        )
