"""Sockets and the threads that own them."""
