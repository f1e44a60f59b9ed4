"""The project that runs in a process of the application: its WSGI application, its importers, and the guarded reader of its state."""
