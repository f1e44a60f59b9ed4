"""A Django project that has nothing but Spirit's forum."""
