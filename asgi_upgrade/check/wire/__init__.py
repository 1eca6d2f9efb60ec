"""The checker's side of the wire: requests to the octet, connections bounded in time, answers read leniently."""
