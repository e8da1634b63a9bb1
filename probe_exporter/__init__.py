"""A multi-target Prometheus exporter for Tesla Powerwall gateways."""

__version__ = "0.1.0"
