"""What the kernel keeps a program from doing that reads a stranger's video: Landlock, seccomp and limits.

Nothing here imports more than it needs, because the launcher starts anew for every run of ffmpeg.
"""
