"""The probes: what is tried on a server, and what each answer means."""
