"""Every server a learner hears of, started in front of one app and looked at from outside.

It runs in the kernel. :mod:`.compare` is where to begin; :mod:`.contenders` has the servers,
:mod:`.probes` the questions.
"""

import os

if os.name != "posix":
    raise ImportError("Servers can be compared on Linux and macOS only.")
