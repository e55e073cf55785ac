"""The store: documents and the log survive restarts, power cuts and bad disks."""
