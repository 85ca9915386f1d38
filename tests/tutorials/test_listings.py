"""How the listings are found in a page."""

from __future__ import annotations

from listings import Listing, listings

PAGE = """\
A Page
======

Words, then code::

    first = 1

    second = 2

.. code-block:: text
    :caption: A terminal

    $ ls

.. note::

    Inside a note::

        third = 3

    More words.

>>> first
1

An Empty Section
----------------

Another
-------

It is said like this: ::

    fourth = 4
    if fourth:
        pass

A session::

    >>> fourth
    4
"""


def test_every_listing_of_a_page_is_found_unchanged() -> None:
    assert listings(PAGE) == [
        Listing("A Page", "python", "first = 1\n\nsecond = 2"),
        Listing("A Page 2", "text", "$ ls"),
        Listing("A Page 3", "python", "third = 3"),
        Listing("A Page 4", "pycon", ">>> first\n1"),
        Listing("Another", "python", "fourth = 4\nif fourth:\n    pass"),
        Listing("Another 2", "pycon", ">>> fourth\n4"),
    ]
