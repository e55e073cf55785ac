"""Edition 2's names for `config`: a catalog is a configuration."""

from .config import Configuration as Catalog
from .config import authoritative, directory, get_hashes
from .config import known as catalog

__all__ = ["Catalog", "authoritative", "catalog", "directory", "get_hashes"]
