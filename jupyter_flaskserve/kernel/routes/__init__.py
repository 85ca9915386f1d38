"""What is known of a Flask app's rules, without running any of its views.

- :func:`describe`: each rule with its arguments, its view and whether it can ever match.
- :func:`explain`: which rule a URL goes to, and why not the others.
- :func:`openapi`: all of them as an OpenAPI document.

The judge of what matches is Werkzeug's own matcher, everywhere. Nothing here changes an app; its
lists are copied, so that a cell may change it meanwhile.
"""

from __future__ import annotations

from .description import describe
from .matching import explain
from .openapi import openapi

__all__ = ["describe", "explain", "openapi"]
