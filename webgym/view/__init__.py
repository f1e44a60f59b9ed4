"""The viewer: the files of a run, shown in a browser page, a file or the terminal. Reads only, and never imports torch."""
