"""The judge: facts and a policy in, a verdict out; and what an application may answer. Pure."""

from asgi_upgrade.handshake.judge import evaluate

__all__ = ["evaluate"]
