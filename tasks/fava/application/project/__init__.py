"""The project that runs in a process of the application: its WSGI application, its importers, and the reader of its state."""
