"""The files under MKTL_HOME, and the environment variables."""
