"""The checks of cgi_calculator, one file per step."""
