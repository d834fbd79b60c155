"""Object stores: one protocol, its implementations, and how a set of files is committed."""

from job.store.base import Object, Reader, Store
from job.store.factory import open_reader, open_store, resolve

__all__ = ["Object", "Reader", "Store", "open_reader", "open_store", "resolve"]
