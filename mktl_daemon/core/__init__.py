"""What the protocol means, without sockets, threads, files or a clock. Pure."""
