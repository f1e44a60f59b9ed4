"""The viewer: what a run left on disk, shown in a browser page, a file or the terminal. Reads only, and never imports torch."""
