"""The checks of socket_server, one file per step."""
