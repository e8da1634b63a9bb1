"""The gateway client: connections, login, pinned TLS and limits. Bytes in, JSON out."""
