"""The files under MKTL_HOME, and what the environment says."""
