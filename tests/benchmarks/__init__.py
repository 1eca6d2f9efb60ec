"""Ratios between two things measured in one run; nothing here is a test.

``python -m tests.benchmarks`` prints them: CPU time of the server per operation, many short alternating rounds, the
best quarter of each side, because wall time on a shared machine is noise.
"""
