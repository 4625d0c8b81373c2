"""The checks of wsgi_catalog, one file per step."""
