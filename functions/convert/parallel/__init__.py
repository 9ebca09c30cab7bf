"""One MP3 by several ffmpegs side by side."""
