"""What the kernel keeps a program from doing that reads a stranger's video: Landlock, seccomp and limits.

The launcher starts anew for every run of ffmpeg, and pays for every import each time. So it has neither dataclasses nor
pathlib nor signal, which would cost 10, 7 and 6 ms (measured); support.py, which only the worker has, may import more.
"""
