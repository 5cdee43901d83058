"""Metrics for Prometheus: requests, times, examples and batches, without data of patients."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "sequela_requests", "Requests", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "sequela_request_seconds",
            "Time of a request",
            ["path"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.examples = Counter("sequela_examples", "Examples scored", registry=self.registry)
        self.batch = Histogram(
            "sequela_batch_size", "Examples of a batch", buckets=_SIZES, registry=self.registry
        )

    def text(self) -> bytes:
        """Return the metrics in the format of Prometheus."""
        return generate_latest(self.registry)
