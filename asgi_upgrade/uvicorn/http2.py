"""HTTP/2."""

from uvicorn.protocols.http.zttp_h2_impl import ZttpH2Protocol

__all__ = ["ZttpH2Protocol"]
