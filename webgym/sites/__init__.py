"""Sites: the web applications that tasks run on, served to the browser by one loopback gateway."""
