"""A Django project that has nothing but Oscar's shop."""
