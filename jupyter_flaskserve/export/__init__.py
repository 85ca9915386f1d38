"""From the notebook to a project that runs without Jupyter.

``cells`` reads the notebook, ``magics`` and ``statements`` its code; ``needed`` finds what the app
needs, ``code`` writes that down, ``secrets`` takes secrets out of it. ``files`` and
``requirements`` gather the rest, ``configure`` makes the files for servers, ``project`` writes all.
"""

from .cells import Cell, Notebook, read_notebook
from .configure import Addresses
from .errors import ExportError
from .export import Exported, export, project_name
from .project import Written
from .report import export_with_progress, report

__all__ = [
    "Addresses",
    "Cell",
    "ExportError",
    "Exported",
    "Notebook",
    "Written",
    "export",
    "export_with_progress",
    "project_name",
    "read_notebook",
    "report",
]
