"""From the notebook to a project that runs without Jupyter.

``cells`` reads the notebook, ``magics`` and ``statements`` its code; ``needed`` finds what the app
needs, ``code`` writes that down, ``secrets`` takes secrets out of it. ``files`` and ``requirements``
gather the rest, ``configure`` makes the files for servers, ``project`` writes all of them.
"""

from .cells import Cell, Notebook, read_notebook
from .configure import Addresses
from .errors import ExportError
from .export import Exported, export, project_name
from .project import Written

__all__ = [
    "Addresses",
    "Cell",
    "ExportError",
    "Exported",
    "Notebook",
    "Written",
    "export",
    "project_name",
    "read_notebook",
]
