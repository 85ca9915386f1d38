"""How fast apps are served, beside everything that people would use instead, in one run.

``python -m benchmarks`` starts all contenders, measures them in turns and writes
``docs/performance.md``. Ratios within a round are the result: they hold on another machine, which
absolute figures do not.
"""
