"""The chart, and what generates its schema and the plain manifests."""
