"""The demo firm: a made-up firm written as a feed folder, with the planted abuse listed in truth.json."""

from pipelines.demo.firm import write_demo

__all__ = ["write_demo"]
