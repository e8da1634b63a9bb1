"""TEDAPI, the newer local interface of a gateway: what may be asked of it, as protobuf messages, and what it answers.

Needs the extra ``[tedapi]``. Only `probe_exporter.tedapi.messages` and `probe_exporter.tedapi.channel` import it, and
nothing imports those two where no gateway has a section ``tedapi:``.
"""
