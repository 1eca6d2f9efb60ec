"""The grammar: octets in, values out, in linear time; it knows no policy and never raises."""
