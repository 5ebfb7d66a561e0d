"""Fixtures every room may use."""

pytest_plugins = ["tests.support.postgres"]
