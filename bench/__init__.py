"""How fast the exporter is, and how far it goes: measured as a program, against simulated gateways in processes of
their own. Every figure stands beside something that was measured in the same run.
"""
